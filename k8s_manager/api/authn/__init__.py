"""Authentication of callers: one module per method, and the order in which they are tried."""
