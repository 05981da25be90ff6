"""What a pod uses and what it asks for, in cores and bytes; figures that cannot be believed are unknown. Pure.

A server that counts wrongly, or another one that answers in its place, must not make the answer wrong: what is no
figure, is negative, or is more than any machine has is None.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any, TypeVar

from istio_templates.facts import Manifest
from istio_templates.quantity import quantity
from k8s_manager.kube.shapes import mapping_of

Figure = TypeVar("Figure", int, float)
MOST_CORES, MOST_BYTES = 10**6, 2**53
"""More than any pod has; bytes also stay exact in JSON for every reader."""
GPUS = ("nvidia.com/gpu", "amd.com/gpu", "gpu.intel.com/i915", "gpu.intel.com/xe")
PARTS = "nvidia.com/mig-"
"""How the resources of parts of a GPU begin."""


@dataclass(frozen=True, slots=True)
class GpuUse:
    """What a pod uses of its GPUs: the mean share of time in which they work (0 to 1), and their memory in bytes."""

    utilization: float | None = None
    memory_used: int | None = None
    memory_total: int | None = None


@dataclass(frozen=True, slots=True)
class PodUse:
    """What a pod uses: cores, bytes, GPUs; `moment` is when that was measured, where it is known."""

    cpu: float | None = None
    memory: int | None = None
    gpu: GpuUse | None = None
    moment: str = ""

    @property
    def is_whole(self) -> bool:
        """Whether CPU and memory are known."""
        return self.cpu is not None and self.memory is not None


NOTHING = PodUse()


@dataclass(frozen=True, slots=True)
class ResourceBounds:
    """What a pod requests and may use, None where it does not say; GPUs are requested whole."""

    cpu_requested: float | None = None
    cpu_limit: float | None = None
    memory_requested: int | None = None
    memory_limit: int | None = None
    gpus: int = 0


def cores(value: object) -> float | None:
    """Return the cores in a quantity or a number; None where there is no figure that a pod could have."""
    found = quantity(value) if isinstance(value, str | int) else _finite(value)
    return round(float(found), 6) if found is not None and 0 <= found <= MOST_CORES else None


def amount(value: object) -> int | None:
    """Return the bytes in a quantity or a number; None where there is no figure that a pod could have."""
    found = quantity(value) if isinstance(value, str | int) else _finite(value)
    return int(found) if found is not None and 0 <= found <= MOST_BYTES else None


def _finite(value: object) -> float | None:
    return value if isinstance(value, float) and isfinite(value) else None


def sum_of(figures: Iterable[Figure | None]) -> Figure | None:
    """Return the sum of figures; None where one is unknown, or there is none."""
    found = list(figures)
    known = [figure for figure in found if figure is not None]
    return sum(known[1:], known[0]) if known and len(known) == len(found) else None


def known_sum(figures: Iterable[Figure | None]) -> Figure | None:
    """Return the sum of the figures that are known; None where none is."""
    return sum_of(figure for figure in figures if figure is not None)


def running_containers(spec: Manifest) -> list[Manifest]:
    """Return the containers of a pod that run side by side: its own, and the sidecars among its init containers."""
    inits = [mapping_of(one) for one in _list(spec.get("initContainers"))]
    sidecars = [one for one in inits if one.get("restartPolicy") == "Always"]
    return [*(mapping_of(one) for one in _list(spec.get("containers"))), *sidecars]


def bounds_of(pod: Manifest) -> ResourceBounds:
    """Return what a pod requests and may use while it runs: its containers and the sidecars among its init containers,
    its overhead, or what it says of itself as a whole. A request that is left out is the limit, as Kubernetes has it.
    """
    spec = mapping_of(pod.get("spec"))
    given = [mapping_of(one.get("resources")) for one in running_containers(spec)]
    whole, overhead = mapping_of(spec.get("resources")), mapping_of(spec.get("overhead"))
    limits = [_bound("limits", name, whole, given) for name in ("cpu", "memory")]
    requests = [_bound("requests", name, whole, given) for name in ("cpu", "memory")]
    return ResourceBounds(
        _with(cores(overhead.get("cpu")), known_sum(map(cores, requests[0]))),
        _with(cores(overhead.get("cpu")), sum_of(map(cores, limits[0]))),
        _with(amount(overhead.get("memory")), known_sum(map(amount, requests[1]))),
        _with(amount(overhead.get("memory")), sum_of(map(amount, limits[1]))),
        sum(_gpus(one) for one in given),
    )


def _bound(which: str, name: str, whole: Manifest, given: list[Manifest]) -> list[object]:
    """Return what a pod says of a resource: as a whole, or each of its containers."""
    if (own := _bounded(which, name, whole)) is not None:
        return [own]
    return [_bounded(which, name, one) for one in given]


def _bounded(which: str, name: str, resources: Manifest) -> object:
    found = mapping_of(resources.get(which)).get(name)
    return mapping_of(resources.get("limits")).get(name) if found is None else found


def _with(overhead: Figure | None, found: Figure | None) -> Figure | None:
    return found if found is None or overhead is None else found + overhead


def _gpus(resources: Manifest) -> int:
    """Return the GPUs, and parts of them, that a container asks for."""
    named: Mapping[str, object] = {**mapping_of(resources.get("requests")), **mapping_of(resources.get("limits"))}
    found = [amount(value) for name, value in named.items() if name in GPUS or str(name).startswith(PARTS)]
    return sum(one for one in found if one is not None)


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
