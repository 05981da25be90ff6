"""What the warm pods of a version use, on average, of what they request or may use. Pure.

Half the pods are no mean of all: where one has no figure, there is none.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime

from collectors.replicas import pod_seen
from istio_templates.documents.autoscale_signal import SignalKind
from istio_templates.facts import Manifest, Pairs
from k8s_manager.statistics.usage.pod_usage import NOTHING, PodUse, ResourceBounds, bounds_of
from k8s_manager.statistics.usage.usage_source import UsageReading, UsageSource

OLDEST = 180.0
"""Seconds since which a source may have measured a pod: the slowest usual pace is a minute, and one round may fail."""
AHEAD = 30.0
"""Seconds by which the clock of a source may be ahead."""
GPU_KINDS: frozenset[SignalKind] = frozenset({"gpu", "gpuMemory"})
_NAMES: Mapping[SignalKind, str] = {"cpu": "CPU", "memory": "memory", "gpu": "GPU", "gpuMemory": "GPU memory"}


class WarmPods:
    """The warm pods of a namespace, found by their labels: it may hold a thousand models."""

    def __init__(self, pods: Iterable[Manifest]) -> None:
        self._by_label: dict[tuple[str, str], list[Manifest]] = {}
        for pod in pods:
            seen = pod_seen(pod)
            if seen.ready and seen.proved and not seen.leaving:
                for label in seen.labels:
                    self._by_label.setdefault(label, []).append(pod)

    def of(self, labels: Pairs) -> list[Manifest]:
        """Return those with all labels."""
        found = min((self._by_label.get(label, []) for label in labels), key=len, default=[])
        return [pod for pod in found if frozenset(labels) <= pod["metadata"]["labels"].items()]


def mean_share(
    kind: SignalKind, pods: Sequence[Manifest], reading: UsageReading, source: UsageSource, now: float
) -> float | str:
    """Return the mean share that warm pods use at `now` (epoch seconds), or in a sentence why it is not known."""
    if not pods:
        return f"no replica is warm, so there is no {_NAMES[kind]} to measure; it passes when one is"
    if not (reading.answers_gpus if kind in GPU_KINDS else reading.answers_figures):
        return "; ".join(reading.gaps) or f"{_NAMES[kind]} is not known; {source.unmeasured}"
    bounds = [bounds_of(pod) for pod in pods]
    if without := sum(_SIZES[kind](one) is None for one in bounds):
        return f"{without} of {len(pods)} warm pods {_REMEDIES[kind]}"
    uses = [reading.pods.get(str(pod["metadata"]["name"]), NOTHING) for pod in pods]
    if old := sum(not _is_fresh(use, now) for use in uses):
        return f"{old} of {len(pods)} warm pods were measured more than {OLDEST:g} s ago; {source.unmeasured}"
    shares = [_share(kind, use, one) for use, one in zip(uses, bounds, strict=True)]
    known = [share for share in shares if share is not None]
    if unknown := len(pods) - len(known):
        right = source.unseen_gpus if kind in GPU_KINDS else source.unmeasured
        return f"{_NAMES[kind]} of {unknown} of {len(pods)} warm pods is not known: {right}"
    return sum(known) / len(known)


_REMEDIES: Mapping[SignalKind, str] = {
    "cpu": "request no CPU, so that there is no share of it; give resources.requests.cpu",
    "memory": "have no limit and no request of memory, so that there is no share of it; give resources.limits.memory",
    "gpu": "ask for no GPU; give resources.limits one, or take the signal out",
    "gpuMemory": "ask for no GPU; give resources.limits one, or take the signal out",
}
_SIZES: Mapping[SignalKind, Callable[[ResourceBounds], float | None]] = {
    "cpu": lambda bounds: bounds.cpu_requested or None,
    "memory": lambda bounds: bounds.memory_limit or bounds.memory_requested or None,
    "gpu": lambda bounds: bounds.gpus or None,
    "gpuMemory": lambda bounds: bounds.gpus or None,
}


def _share(kind: SignalKind, use: PodUse, bounds: ResourceBounds) -> float | None:
    if kind in GPU_KINDS:
        if use.gpu is None or kind == "gpu":
            return use.gpu.utilization if use.gpu else None
        return _quotient(use.gpu.memory_used, use.gpu.memory_total)
    return _quotient(use.cpu if kind == "cpu" else use.memory, _SIZES[kind](bounds))


def _quotient(used: float | None, size: float | None) -> float | None:
    return used / size if used is not None and size else None


def _is_fresh(use: PodUse, now: float) -> bool:
    """Tell whether a pod was measured lately, as far as the source says when."""
    if not use.moment:
        return True
    try:
        measured = datetime.fromisoformat(use.moment)
    except ValueError:
        return False
    return -AHEAD <= now - measured.replace(tzinfo=measured.tzinfo or UTC).timestamp() <= OLDEST
