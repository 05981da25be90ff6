"""Live figures of models: what the limits of the strategy `threshold` are held against."""
