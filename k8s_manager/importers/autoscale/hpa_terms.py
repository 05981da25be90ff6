"""A HorizontalPodAutoscaler, as `autoscale`. Pure."""

from istio_templates.facts import Manifest
from k8s_manager.importers.autoscale.replica_terms import Noted, behavior, percent, usage_signal, whole
from k8s_manager.importers.cluster_objects import items, part
from k8s_manager.importers.proposal import Proposal

_CPU = 80
"""Percent: what Kubernetes looks at where an autoscaler names no metric."""


def hpa_terms(hpa: Manifest, proposal: Proposal) -> Manifest:
    """Return what an HPA says as `autoscale`, with what signals it has; what has no counterpart is noted."""

    def note(place: str, said: str) -> None:
        proposal.note(hpa, place, said)

    spec = part(hpa, "spec")
    metrics = [_signal(one, f"spec.metrics[{number}]", note) for number, one in enumerate(items(spec, "metrics"))]
    if not metrics:
        metrics = [usage_signal("cpu", spec.get("targetCPUUtilizationPercentage", _CPU), "spec.metrics", note)]
    return {
        "min": whole(spec, "minReplicas", 1),
        "max": whole(spec, "maxReplicas", 0),
        "signals": [signal for signal in metrics if signal],
        **behavior(part(spec, "behavior"), "spec.behavior", note),
    }


def _signal(metric: Manifest, place: str, note: Noted) -> Manifest | None:
    kind = str(metric.get("type", ""))
    source = part(metric, kind[:1].lower() + kind[1:])
    target = part(source, "target")
    if kind == "Resource":
        found = target.get("averageUtilization")
        said = found if percent(found) else f"{target.get('averageValue')} for each pod"
        return usage_signal(str(source.get("name")), said, place, note)
    name = part(source, "metric").get("name") or source.get("name")
    note(place, f"{kind} metric {name} is not expressed; write a signal with a prometheus query in its place")
    return None
