"""Tokens of callers: issued, revoked, and the keys that sign them rotated."""
