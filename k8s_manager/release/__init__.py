"""Releases: how a version reaches production, by evidence, and goes back."""
