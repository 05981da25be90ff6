"""Who may call a tenant's models: from documents to what gateways enforce; and the tokens that the manager issues."""
