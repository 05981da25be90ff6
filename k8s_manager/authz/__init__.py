"""Who may do what: roles, grants, and the right that each endpoint asks for. Pure."""
