"""What of an autoscaler becomes `autoscale`: its bounds and behaviour. Pure.

An autoscaler of Kubernetes takes the most that any of its metrics asks for: every signal is a guard.
"""

from collections.abc import Callable
from typing import Any

from istio_templates.facts import Manifest
from k8s_manager.importers.cluster_objects import items, part

Noted = Callable[[str, str], None]
"""Notes a field of the autoscaler, and what is to say about it."""
SHORTEST_WINDOW, PERIOD = 15, 15
"""Seconds: between two looks at the signals, and in which `scaleUp.step` may come."""
_KUBERNETES_WINDOW = 300


def whole(found: Manifest, name: str, default: int) -> int:
    """Return a whole number as Kubernetes has them, from 0 on; the default where there is none."""
    value = found.get(name)
    return value if type(value) is int and 0 <= value < 2**31 else default


def percent(value: Any) -> str | None:
    """Return a share of what is requested as a document writes it; None for what is none."""
    text = str(value)
    return f"{int(text)}%" if text.isdecimal() and text.isascii() and len(text) < 5 and int(text) else None


def usage_signal(resource: str, target: Any, place: str, note: Noted) -> Manifest | None:
    """Return the signal of a utilization of `cpu` or `memory`; None, with a note, where there is none."""
    share = percent(target)
    most = {"cpu": 1000, "memory": 100}.get(resource)
    if share is None or most is None or int(share[:-1]) > most:
        note(place, f"{resource} at {target} is no signal; only a utilization of cpu, or of memory to 100 %, is")
        return None
    if resource == "memory":
        note(place, "memory is a share of the limit where there is one, not of what is requested, and raises only")
    return {"name": resource, "target": share, "guard": True}


def behavior(found: Manifest, place: str, note: Noted) -> Manifest:
    """Return `scaleUp` and `scaleDown` of an autoscaler's `behavior`; what has no counterpart is noted."""
    down, up = part(found, "scaleDown"), part(found, "scaleUp")
    window = max(whole(down, "stabilizationWindowSeconds", _KUBERNETES_WINDOW), SHORTEST_WINDOW)
    if whole(up, "stabilizationWindowSeconds", 0):
        note(f"{place}.scaleUp.stabilizationWindowSeconds", "is not expressed: replicas come at once")
    for side, name in ((down, "scaleDown"), (up, "scaleUp")):
        if side.get("selectPolicy", "Max") != "Max":
            note(f"{place}.{name}.selectPolicy", f"{side['selectPolicy']} is not expressed; look at {name}.step")
    rate = _rate(down, f"{place}.scaleDown.policies", note)
    growth = _rate(up, f"{place}.scaleUp.policies", note)
    scaling: Manifest = {"scaleDown": {"window": f"{window}s", "step": _left(rate, window)}}
    if growth:
        share, seconds = growth
        scaling["scaleUp"] = {"step": f"{min(max(round(100 * ((1 + share) ** (PERIOD / seconds) - 1)), 1), 9999)}%"}
    return scaling


def _left(rate: tuple[float, int] | None, window: int) -> str:
    """Return how many of all replicas go in a window at most; Kubernetes' own policy is all of them in 15 s."""
    if rate is None or rate[0] >= 1:
        return "100%"
    share, seconds = rate
    return f"{min(max(round(100 * (1 - (1 - share) ** max(window / seconds, 1))), 1), 100)}%"


def _rate(side: Manifest, place: str, note: Noted) -> tuple[float, int] | None:
    """Return the share of replicas that may come or go in how many seconds; None where no single policy says so."""
    policies = items(side, "policies")
    of_percent = [one for one in policies if one.get("type") == "Percent" and whole(one, "value", 0)]
    if len(of_percent) < len(policies):
        note(place, "replicas in numbers are not expressed; look at step")
    if len(of_percent) != 1:
        return None
    return min(whole(of_percent[0], "value", 0), 9999) / 100, max(whole(of_percent[0], "periodSeconds", PERIOD), 1)
