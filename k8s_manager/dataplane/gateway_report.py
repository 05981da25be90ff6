"""What runs at a gateway, as the REST API shows it: its slots, what each pod runs of them, its load. Pure."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from collectors.replicas import PodState
from istio_templates.envoy_filter import revision_text
from istio_templates.facts import Manifest
from ratelimiter import fairness
from ratelimiter.config_probe import PodConfigState, ShownRevision
from ratelimiter.fairness import PodLoad
from ratelimiter.slots import use_of

NOT_ASKED = "NotAsked"
"""Of a pod that is not ready, or of a gateway without a probe."""


@dataclass(frozen=True, slots=True)
class WrittenSlot:
    """What is written in a slot: the models (as NAMESPACE/NAME) and how many limits they have there, the revision that
    the config probe shows of it, how often it was sent again, and whether these are limits that were rolled back to.
    `pending` is the second since when some pod does not run it, `took` how many seconds it took the last time."""

    models: tuple[str, ...]
    limits: int
    revision: int
    sent: int = 0
    rolled_back: bool = False
    pending: float | None = None
    took: float | None = None


@dataclass(frozen=True, slots=True)
class ProbedPod:
    """What the config probe found in a gateway pod; without a `state` it was not asked. A silent one showed `shown`
    before, and has answered last at the second `answered`."""

    pod: PodState
    state: PodConfigState | None = None
    shown: Mapping[int, ShownRevision] | None = None
    answered: float | None = None


def slot_line(number: int, slot: WrittenSlot, at: Callable[[float], str]) -> Manifest:
    """Return a slot; `at` writes a second as a moment."""
    return {
        "slot": number,
        "use": use_of(number),
        "limits": slot.limits,
        "models": list(slot.models),
        "revision": revision_text(slot.revision),
        "sent": slot.sent,
        "rolledBack": slot.rolled_back,
        "pendingSince": None if slot.pending is None else at(slot.pending),
        "effectSeconds": None if slot.took is None else round(slot.took, 3),
    }


def pod_line(found: ProbedPod, slots: Mapping[int, WrittenSlot], at: Callable[[float], str]) -> Manifest:
    """Return a gateway pod with what it runs of each slot that is written."""
    state, is_silent = found.state, found.state is not None and found.state.silent
    return {
        "pod": found.pod.name,
        "ready": found.pod.ready and not found.pod.leaving,
        "state": state.state if state else NOT_ASKED,
        "silentSince": at(found.answered) if is_silent and found.answered is not None else None,
        "slots": [_run(number, state, found.shown or {}, at) for number in sorted(slots)] if state else [],
    }


def _run(
    number: int, state: PodConfigState, shown: Mapping[int, ShownRevision], at: Callable[[float], str]
) -> Manifest:
    """Return what a pod runs of a slot, as far as it was seen."""
    seen = shown.get(number)
    word = (
        "NoAnswer"
        if state.state == "NoAnswer"
        else "Rejected"
        if number in state.late
        else "Pending"
        if number in state.behind
        else "Applied"
    )
    return {
        "slot": number,
        "state": word,
        "revision": None if seen is None else revision_text(seen.revision),
        "since": None if seen is None else at(seen.since),
    }


def load_of(loads: Mapping[str, PodLoad], unread: tuple[str, ...], seconds: float) -> Manifest:
    """Return how the requests of the last `seconds` spread over the pods of a gateway."""
    whole = fairness.summed(loads.values())
    return {
        "state": fairness.balance(loads),
        "seconds": seconds,
        "requests": whole.requests,
        "refused": whole.refused,
        "limitsFullAt": fairness.full_at(loads),
        "message": load_text(loads),
        "unread": list(unread),
        "pods": [
            {
                "pod": pod,
                "requests": load.requests,
                "refused": load.refused,
                "share": load.requests / whole.requests if whole.requests else None,
            }
            for pod, load in sorted(loads.items())
        ],
    }


def load_text(loads: Mapping[str, PodLoad]) -> str:
    """Return what the load means for limits, as a sentence."""
    match fairness.balance(loads):
        case "NotRead":
            return "The counters of the gateway pods have not been read yet; wait half a minute."
        case "Single":
            return "One gateway pod enforces every limit whole."
        case "Few":
            return f"Fewer than {fairness.FEWEST} requests came in the last minute: too few to compare the pods."
        case "Even":
            return "Every gateway pod gets about the share of requests that it has of each limit."
        case found:
            return _uneven_text(loads, is_refusing=found == "Uneven")


def _uneven_text(loads: Mapping[str, PodLoad], is_refusing: bool) -> str:
    busiest = max(sorted(loads), key=lambda pod: loads[pod].requests)
    whole, full = fairness.summed(loads.values()).requests, fairness.full_at(loads) or 0.0
    part = loads[busiest].requests / whole
    refusing = "refuses while another one idles" if is_refusing else "will refuse while another one idles"
    return (
        f"Gateway pod {busiest} gets {part:.0%} of the requests and has 1/{len(loads)} of each limit, so that it "
        f"{refusing}: a limit is full at about {full:.0%} of its figure. Let clients open more connections, balance "
        "requests before the gateway, or run fewer gateway pods."
    )
