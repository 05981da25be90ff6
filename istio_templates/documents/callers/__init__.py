"""Documents of who may call a tenant's models: its callers, and how they are known."""
