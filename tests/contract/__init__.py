"""Suites that more than one thing has to pass."""
