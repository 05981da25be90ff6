"""Statuses of callers, and what models say of them."""
