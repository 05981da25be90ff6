"""A ScaledObject of KEDA, as `autoscale`. Pure."""

import re
from collections.abc import Container

from istio_templates.documents.autoscale_signal import KINDS, MOST_QUERY
from istio_templates.facts import Manifest
from k8s_manager.importers.autoscale.replica_terms import Noted, behavior, usage_signal, whole
from k8s_manager.importers.cluster_objects import items, part
from k8s_manager.importers.proposal import Proposal

_MOST = 100
"""Replicas at most where a ScaledObject does not say so."""
_KNOWN = (
    "scaleTargetRef", "minReplicaCount", "maxReplicaCount", "triggers", "advanced", "pollingInterval", "cooldownPeriod",
)  # fmt: skip


def keda_terms(scaled: Manifest, proposal: Proposal) -> Manifest:
    """Return what a ScaledObject says as `autoscale`, with what signals it has; what has no counterpart is noted."""

    def note(place: str, said: str) -> None:
        proposal.note(scaled, place, said)

    spec = part(scaled, "spec")
    proposal.leave_out(scaled, "spec", spec, _KNOWN)
    advanced = part(spec, "advanced")
    known = ("horizontalPodAutoscalerConfig", "restoreToOriginalReplicaCount")
    proposal.leave_out(scaled, "spec.advanced", advanced, known)
    if advanced.get("restoreToOriginalReplicaCount"):
        said = "sets the replicas back when it is deleted; set it to false first"
        note("spec.advanced.restoreToOriginalReplicaCount", said)
    signals: list[Manifest] = []
    for number, trigger in enumerate(items(spec, "triggers")):
        names = {signal["name"] for signal in signals}
        if signal := _signal(trigger, number, names, note):
            signals.append(signal)
    config = part(advanced, "horizontalPodAutoscalerConfig")
    return {
        "min": whole(spec, "minReplicaCount", 0),
        "max": whole(spec, "maxReplicaCount", _MOST),
        "signals": signals,
        **behavior(part(config, "behavior"), "spec.advanced.horizontalPodAutoscalerConfig.behavior", note),
    }


def _signal(trigger: Manifest, number: int, names: Container[str], note: Noted) -> Manifest | None:
    kind, place, metadata = str(trigger.get("type")), f"spec.triggers[{number}]", part(trigger, "metadata")
    if kind in ("cpu", "memory") and kind not in names:
        by = str(trigger.get("metricType") or metadata.get("type") or "Utilization")
        value = metadata.get("value")
        return usage_signal(kind, value if by == "Utilization" else f"{value} ({by})", place, note)
    if kind == "prometheus":
        return _query(trigger, number, names, note)
    if kind == "cron":
        note(place, "is not expressed; write a schedule (autoscale.schedules), in UTC")
        return None
    note(place, f"{kind} is not expressed; write a signal with a prometheus query in its place")
    return None


def _query(trigger: Manifest, number: int, names: Container[str], note: Noted) -> Manifest | None:
    place, metadata = f"spec.triggers[{number}]", part(trigger, "metadata")
    query, target = str(metadata.get("query") or "").strip(), _figure(metadata.get("threshold"))
    by = trigger.get("metricType", "AverageValue")
    if by != "AverageValue" or target is None or not 0 < len(query) <= MOST_QUERY:
        said = f"prometheus ({by}) is not expressed: a signal has a query, and a target for each replica"
        note(place, said)
        return None
    if server := metadata.get("serverAddress"):
        note(f"{place}.metadata.serverAddress", f"{server} is not asked: the manager asks its own (--prometheus)")
    name = _name(str(trigger.get("name") or ""), number, names)
    figure = int(target) if target.is_integer() else target
    return {"name": name, "prometheus": query, "target": figure, "guard": True}


def _name(name: str, number: int, names: Container[str]) -> str:
    """Return a signal's name like the trigger's."""
    found = re.sub(r"[^A-Za-z0-9_-]+", "-", name).strip("-_")[:63]
    usable = re.match(r"[A-Za-z]", found) and KINDS.get(found) in (None, "queue") and found not in names
    return found if usable else f"trigger-{number}"


def _figure(value: object) -> float | None:
    try:
        found = float(str(value))
    except ValueError:
        return None
    return found if 0 < found <= 1e9 else None
