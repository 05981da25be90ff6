"""Lists of `metrics.k8s.io/v1beta1` PodMetrics as usage. Pure.

https://github.com/kubernetes/metrics/blob/master/pkg/apis/metrics/v1beta1/types.go
"""

from typing import Any

from istio_templates.errors import Transient
from k8s_manager.statistics.usage.pod_usage import PodUse, amount, cores, sum_of

MOST_PODS = 10_000
_LONGEST_MOMENT = 40


class OddMetrics(Transient):
    """A server of metrics answered something that is no metrics."""


def uses_in(content: Any) -> dict[str, PodUse]:
    """Return the use of each pod in an answer; raises `OddMetrics` for one that is no list of pods. A pod that cannot
    be read is left out, a figure that cannot be is unknown."""
    items = content.get("items") if isinstance(content, dict) else None
    if not isinstance(items, list):
        raise OddMetrics("the answer of metrics.k8s.io is no list of pods")
    if len(items) > MOST_PODS:
        raise OddMetrics(f"the answer of metrics.k8s.io has more than {MOST_PODS} pods")
    found = {}
    for item in items:
        metadata = item.get("metadata") if isinstance(item, dict) else None
        name = metadata.get("name") if isinstance(metadata, dict) else None
        if isinstance(name, str) and name:
            found[name] = _use(item)
    return found


def _use(item: dict[str, Any]) -> PodUse:
    containers, moment = item.get("containers"), item.get("timestamp")
    usages = [_usage(one) for one in containers] if isinstance(containers, list) else []
    return PodUse(
        sum_of(cores(usage.get("cpu")) for usage in usages),
        sum_of(amount(usage.get("memory")) for usage in usages),
        moment=moment if isinstance(moment, str) and len(moment) <= _LONGEST_MOMENT else "",
    )


def _usage(container: Any) -> dict[str, Any]:
    usage = container.get("usage") if isinstance(container, dict) else None
    return usage if isinstance(usage, dict) else {}
