"""How far a pod's life has come."""

from istio_templates.facts import Manifest


def has_ended(pod: Manifest) -> bool:
    """Tell whether a pod runs nothing any more: evicted, failed or completed. Its object may stay for days."""
    return (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")
