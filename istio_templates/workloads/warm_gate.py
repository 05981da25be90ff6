"""The readiness gate and the verdict annotation: the result of a warm-up, on the pod itself.

The kubelet leaves a gate True when a container restarts. So the verdict beside it names the container that was warmed,
and holds for no other.
"""

import json
from dataclasses import asdict, dataclass

from istio_templates.facts import Manifest

GATE = "tidegate.dev/warm"
VERDICT = "tidegate.dev/verdict"
CONTAINER = "model"
RELEASED = "Released"
_OPEN = ("Verified", "Admitted", RELEASED)
_LONGEST = 4096  # bytes of a verdict; the manager never writes a longer one


@dataclass(frozen=True, slots=True)
class WarmupResult:
    """Result of a container's warm-up: how it ended, by which plan, after how many requests and seconds, and the
    latency (seconds) that its plan asks about at the slowest case.

    `Released`: it served while no model claimed its warm-up, and goes on until it has been warmed.
    """

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
        """Return the verdict for the pod's annotation."""
        return json.dumps(asdict(self), separators=(",", ":"), sort_keys=True)


def has_gate(pod: Manifest) -> bool:
    """Tell whether a pod waits for the gate."""
    return any(gate.get("conditionType") == GATE for gate in pod.get("spec", {}).get("readinessGates") or ())


def verdict_of(pod: Manifest) -> WarmupResult | None:
    """Return the verdict in a pod's annotations; None where there is none that can be read: others may write there
    too."""
    text = (pod["metadata"].get("annotations") or {}).get(VERDICT)
    if not isinstance(text, str) or len(text) > _LONGEST:
        return None
    try:
        found = WarmupResult(**json.loads(text))
    except (TypeError, ValueError, RecursionError):
        return None
    return found if _is_sound(found) else None


def _is_sound(found: WarmupResult) -> bool:
    texts = (found.uid, found.container, found.plan, found.result, found.at)
    numbers = (found.requests, found.seconds, 0 if found.latency is None else found.latency)
    return all(isinstance(t, str) for t in texts) and all(isinstance(n, int | float) for n in numbers)


def model_containers(pod: Manifest) -> list[Manifest]:
    """Return the statuses of the containers that serve the model: the one of that name, else all there are."""
    statuses: list[Manifest] = pod.get("status", {}).get("containerStatuses") or []
    named = [status for status in statuses if status.get("name") == CONTAINER]
    return named or statuses


def running_container(pod: Manifest) -> str | None:
    """Return the ID of the model's container while it runs; of several, all their IDs, while all run."""
    found = model_containers(pod)
    running = [s["containerID"] for s in found if "running" in (s.get("state") or {}) and s.get("containerID")]
    return ",".join(sorted(running)) if running and len(running) == len(found) else None


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
