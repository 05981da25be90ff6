"""The manager's own installation: its namespace, and the labels of what belongs to it and to no document."""

SYSTEM = "tidegate-system"


LABELS = {"app.kubernetes.io/part-of": "tidegate"}
"""On what is the manager's own, and follows from no document."""
