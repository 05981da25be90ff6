"""Who may call the models of a tenant through a gateway, and the EnvoyFilters that enforce it."""
