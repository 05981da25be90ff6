"""Usage as the API shows it: of each pod, and of models as sums. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from istio_templates.facts import Manifest
from k8s_manager.statistics.usage.pod_usage import (
    NOTHING,
    GpuUse,
    PodUse,
    ResourceBounds,
    bounds_of,
    known_sum,
    sum_of,
)
from k8s_manager.statistics.usage.usage_source import UsageReading, UsageSource


class VersionPod(NamedTuple):
    """A pod and the version that it belongs to."""

    version: str
    pod: Manifest

    @property
    def name(self) -> str:
        """The pod's name."""
        return str(self.pod["metadata"]["name"])

    @property
    def runs(self) -> bool:
        """Whether its containers have been started, so that they use something."""
        return (self.pod.get("status") or {}).get("phase") == "Running"


def pod_item(pod: VersionPod, uses: Mapping[str, PodUse]) -> Manifest:
    """Return what a pod uses, beside what it requests and may use."""
    use = uses.get(pod.name, NOTHING)
    return {
        "pod": pod.name,
        "version": pod.version,
        "measured": use.moment or None,
        **_figures([use], [bounds_of(pod.pod)]),
    }


def model_item(name: str, pods: Sequence[VersionPod], uses: Mapping[str, PodUse]) -> Manifest:
    """Return what the pods of a model use together."""
    found = [uses.get(pod.name, NOTHING) for pod in pods]
    counts = {"pods": len(pods), "measured": sum(use.is_whole for use in found)}
    return {"model": name, **counts, **_figures(found, [bounds_of(pod.pod) for pod in pods])}


def _figures(uses: Sequence[PodUse], bounds: Sequence[ResourceBounds]) -> Manifest:
    """Return sums: of what is used and requested as far as it is known, of limits where every pod has one."""
    return {
        "cpu": {
            "used": _rounded(known_sum(use.cpu for use in uses)),
            "requested": _rounded(known_sum(one.cpu_requested for one in bounds)),
            "limit": _rounded(sum_of(one.cpu_limit for one in bounds)),
        },
        "memory": {
            "used": known_sum(use.memory for use in uses),
            "requested": known_sum(one.memory_requested for one in bounds),
            "limit": sum_of(one.memory_limit for one in bounds),
        },
        "gpu": {"requested": sum(one.gpus for one in bounds), **_gpu([use.gpu for use in uses if use.gpu])},
    }


def _gpu(found: Sequence[GpuUse]) -> Manifest:
    shares = [gpu.utilization for gpu in found if gpu.utilization is not None]
    return {
        "utilization": _rounded(sum(shares) / len(shares)) if shares else None,
        "memoryUsed": known_sum(gpu.memory_used for gpu in found),
        "memoryTotal": sum_of(gpu.memory_total for gpu in found),
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def pod_gaps(reading: UsageReading, pods: Iterable[VersionPod], source: UsageSource) -> list[str]:
    """Return which running pods the source says nothing of, and what to do about it; nothing for what it could not be
    asked at all, which is a gap already."""
    running = [pod for pod in pods if pod.runs]
    out = []
    unknown = sum(not reading.pods.get(pod.name, NOTHING).is_whole for pod in running)
    if reading.answers_figures and unknown:
        out.append(f"CPU or memory of {unknown} of {len(running)} running pods is not known: {source.unmeasured}")
    with_gpus = [pod for pod in running if bounds_of(pod.pod).gpus]
    blind = sum(reading.pods.get(pod.name, NOTHING).gpu is None for pod in with_gpus)
    if reading.answers_gpus and blind:
        out.append(f"GPU use of {blind} of {len(with_gpus)} running pods is not known: {source.unseen_gpus}")
    return out
