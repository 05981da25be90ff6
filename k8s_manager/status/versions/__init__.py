"""Statuses of registered versions."""
