"""Limits and traffic, measured at real Envoys."""
