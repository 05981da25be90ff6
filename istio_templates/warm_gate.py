"""The readiness gate and the verdict: what a pod itself says of its warm-up.

The kubelet leaves a gate True when a container restarts. So the verdict beside it names the container that was warmed,
and holds for no other.
"""

import json
from dataclasses import asdict, dataclass

from istio_templates.facts import Manifest

GATE = "tidegate.dev/warm"
VERDICT = "tidegate.dev/verdict"
CONTAINER = "model"
_OPEN = ("Verified", "Admitted")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a container's warm-up: how it ended, by which plan, after how many requests and seconds, and the
    latency (seconds) that its plan asks about at the slowest case."""

    uid: str
    container: str
    plan: str
    result: str
    at: str
    requests: int = 0
    seconds: float = 0.0
    latency: float | None = None

    @property
    def is_open(self) -> bool:
        """Tell whether the container takes requests."""
        return self.result in _OPEN

    def text(self) -> str:
        """Return the verdict as it stands in the pod's annotation."""
        return json.dumps(asdict(self), separators=(",", ":"), sort_keys=True)


def has_gate(pod: Manifest) -> bool:
    """Tell whether a pod waits for the gate."""
    return any(gate.get("conditionType") == GATE for gate in pod.get("spec", {}).get("readinessGates") or ())


def verdict_of(pod: Manifest) -> Verdict | None:
    """Return the verdict in a pod's annotations; None where there is none that can be read."""
    text = (pod["metadata"].get("annotations") or {}).get(VERDICT)
    if text is None:
        return None
    try:
        return Verdict(**json.loads(text))
    except (TypeError, ValueError):
        return None


def model_container(pod: Manifest) -> Manifest | None:
    """Return the status of the container that serves the model: the one of that name, else the first."""
    statuses: list[Manifest] = pod.get("status", {}).get("containerStatuses") or []
    named = [status for status in statuses if status.get("name") == CONTAINER]
    return next(iter(named or statuses), None)


def running_container(pod: Manifest) -> str | None:
    """Return the ID of the model's container while it runs."""
    status = model_container(pod)
    if status is None or "running" not in (status.get("state") or {}):
        return None
    return status.get("containerID") or None


def is_proved(pod: Manifest) -> bool:
    """Tell whether the container that runs now is the one that was found warm; true of a pod without the gate."""
    if not has_gate(pod):
        return True
    verdict = verdict_of(pod)
    return (
        verdict is not None
        and verdict.is_open
        and (verdict.uid, verdict.container) == (pod["metadata"]["uid"], running_container(pod))
    )
