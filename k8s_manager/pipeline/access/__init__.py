"""What gateways check of callers: whose, and what of it stays while a document is rejected."""
