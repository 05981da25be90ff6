"""How requests come to another version."""
