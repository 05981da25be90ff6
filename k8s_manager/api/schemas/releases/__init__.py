"""Releases in answers."""
