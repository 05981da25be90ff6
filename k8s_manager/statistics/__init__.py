"""What is known of a model beyond its documents: its requests, the logs of its pods, what they use."""
