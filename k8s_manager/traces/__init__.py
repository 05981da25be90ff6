"""The manager's own traces: a port that costs nothing while they are off, and what sends spans (extra `tracing`)."""
