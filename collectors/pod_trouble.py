"""Why a pod does not run as it should, in Kubernetes' own words: its scheduling, its containers' states, its restarts.

The words are those of `kubectl get pods` and `kubectl describe pod`: PodScheduled's reason, a container's waiting
reason, how it ended last and what it said then (its termination message).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from istio_templates.facts import Manifest

UNSCHEDULABLE = "Unschedulable"
"""The scheduler finds no node for a pod."""
STARTING = ("ContainerCreating", "PodInitializing")
CRASHES = "CrashLoopBackOff"
_SAME = {"ErrImagePull": "ImagePullBackOff"}  # the kubelet says the one and the other in turn
_LONGEST = 300


@dataclass(frozen=True, slots=True)
class PodTrouble:
    """Why a pod takes no requests: a `reason` of Kubernetes, what it says of it, and of which `container`.

    `is_failure`: it does not go by itself; else the pod may only be starting still. `since` is known of pods that wait
    for a node.
    """

    reason: str
    said: str
    container: str = ""
    is_failure: bool = True
    since: datetime | None = None


def trouble_of(pod: Manifest) -> PodTrouble | None:
    """Return why a pod that is not ready is not; None for one of which nothing is known yet."""
    status = pod.get("status") or {}
    conditions = {c.get("type"): c for c in status.get("conditions") or []}
    scheduled = conditions.get("PodScheduled") or {}
    if scheduled.get("status") == "False":
        reason, since = scheduled.get("reason") or UNSCHEDULABLE, _moment(scheduled.get("lastTransitionTime"))
        return PodTrouble(reason, _short(scheduled.get("message")), since=since)
    found = list(_of_containers(status))
    if failing := [trouble for trouble in found if trouble.is_failure]:
        return failing[0]
    if found:
        return found[0]
    unready = conditions.get("Ready") or {}
    if unready.get("status") == "False" and unready.get("message"):
        return PodTrouble("NotReady", _short(unready["message"]), is_failure=False)
    return None


def _of_containers(status: Manifest) -> Iterator[PodTrouble]:
    for field, is_init in (("initContainerStatuses", True), ("containerStatuses", False)):
        for container in status.get(field) or []:
            if trouble := _of_container(container, is_init):
                yield trouble


def _of_container(container: Manifest, is_init: bool) -> PodTrouble | None:
    name, state = container.get("name", ""), container.get("state") or {}
    ended, waiting = state.get("terminated"), state.get("waiting") or {}
    if container.get("ready") or (is_init and ended and not ended.get("exitCode")):
        return None
    ended = ended or (container.get("lastState") or {}).get("terminated")
    if ended and waiting.get("reason") in (None, "", CRASHES, *STARTING):
        return PodTrouble(CRASHES, _ending(name, ended, container.get("restartCount") or 0), name)
    return _waiting(name, state)


def _waiting(name: str, state: Manifest) -> PodTrouble | None:
    waiting = state.get("waiting") or {}
    reason = waiting.get("reason")
    if not reason:
        return None
    said = f"container {name}: {_short(waiting.get('message'))}".removesuffix(": ")
    return PodTrouble(_SAME.get(reason, reason), said, name, reason not in STARTING)


def _ending(name: str, ended: Manifest, restarts: int) -> str:
    """Return how a container ended last, how often it was restarted, and the last that it said."""
    reason = ended.get("reason") or "Error"
    times = {0: "", 1: ", restarted once"}.get(restarts, f", restarted {restarts} times")
    lines = [line.strip() for line in (ended.get("message") or "").splitlines() if line.strip()]
    last = f", last message: {_short(lines[-1])}" if lines else ""
    return f"container {name} ended with exit code {ended.get('exitCode', 'unknown')} ({reason}){times}{last}"


def _short(text: str | None) -> str:
    line = " ".join((text or "").split())
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 3]}..."


def _moment(text: str | None) -> datetime | None:
    """Return a moment as Kubernetes writes it; None for anything else."""
    try:
        found = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return found if found.tzinfo else None
