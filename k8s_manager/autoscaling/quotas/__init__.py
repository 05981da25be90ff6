"""What the quotas of namespaces bear."""
