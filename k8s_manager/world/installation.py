"""The manager's own installation: its namespace, and the labels of what belongs to it and to no document."""

from istio_templates.facts import ObjectKey

SYSTEM = "tidegate-system"
CALLER_KEYS = ObjectKey("Secret", SYSTEM, "tidegate-caller-keys")
"""The Secret with the keys by which tokens of callers are signed."""
PRIVATE_KEYS, PUBLIC_KEYS = "private", "public"
"""Its entries: what signs, which only the issuing of a token reads, and what verifies."""


LABELS = {"app.kubernetes.io/part-of": "tidegate"}
"""On what is the manager's own, and follows from no document."""
