"""Commands about callers of models."""
