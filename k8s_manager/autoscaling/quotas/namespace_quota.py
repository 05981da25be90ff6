"""How many more replicas the ResourceQuotas of a namespace bear, and how many in all. Pure.

https://kubernetes.io/docs/concepts/policy/resource-quotas/
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from math import floor
from typing import Any

from istio_templates.facts import Manifest
from istio_templates.quantity import quantity
from k8s_manager.autoscaling.scale_target import ScaleTarget
from k8s_manager.kube.shapes import mapping_of, mappings_of
from k8s_manager.statistics.usage.pod_usage import running_containers
from ratelimiter.autoscale.quota import Amounts, spare_of

_KINDS = ("requests", "limits")
_SHORT = {"requests.cpu": "cpu", "requests.memory": "memory"}
"""What a quota may write in short."""


@dataclass(frozen=True, slots=True)
class QuotaRoom:
    """What the tightest `quota` of a resource leaves of it, and its figure, as the quota writes it."""

    left: Fraction
    quota: str
    hard: str


Rooms = Mapping[str, QuotaRoom]
"""The rooms of a namespace, by resource."""


@dataclass(frozen=True, slots=True)
class BearableReplicas:
    """The most replicas of a version that the quotas of its namespace bear beside what else is there, and the resource
    that bounds them."""

    replicas: int
    resource: str
    room: QuotaRoom


def rooms_of(quotas: Iterable[Manifest]) -> dict[str, Rooms]:
    """Return, by namespace, what its quotas leave of each resource that they bound. A quota for some pods alone (with
    scopes) says nothing of a version's."""
    found: dict[str, dict[str, QuotaRoom]] = defaultdict(dict)
    for quota in quotas:
        spec, status = mapping_of(quota.get("spec")), mapping_of(quota.get("status"))
        if spec.get("scopes") or spec.get("scopeSelector"):
            continue
        used, room = mapping_of(status.get("used")), found[quota["metadata"]["namespace"]]
        for name, bound in mapping_of(status.get("hard")).items():
            most, taken = quantity(bound), quantity(used.get(name, "0"))
            if most is not None and taken is not None:
                one = QuotaRoom(most - taken, quota["metadata"]["name"], str(bound))
                room[name] = min(room.get(name, one), one, key=lambda found: found.left)
    return dict(found)


def bearable_in(rooms: Rooms, target: ScaleTarget) -> BearableReplicas | None:
    """Return the most replicas of a version that a namespace bears; None where nothing bounds them."""
    counts = [
        BearableReplicas(target.existing + max(0, floor(rooms[name].left / amount)), name, rooms[name])
        for name, amount in pod_size(target.template).items()
        if name in rooms and amount > 0
    ]
    return min(counts, key=lambda found: found.replicas, default=None)


def pod_size(template: Mapping[str, Any]) -> dict[str, Fraction]:
    """Return what one pod of a template takes of a quota."""
    spec = mapping_of(template.get("spec"))
    running = _sum(map(_amounts, running_containers(spec)))
    size = {"pods": Fraction(1), "count/pods": Fraction(1), **running}
    # A sidecar runs on with the others, and counted with them already.
    for one in map(_amounts, mappings_of(spec.get("initContainers"))):
        size |= {name: max(amount, size.get(name, Fraction(0))) for name, amount in one.items()}
    return {**size, **{short: size[name] for name, short in _SHORT.items() if name in size}}


def spare_in(rooms: Rooms, targets: Mapping[str, ScaleTarget], asked: Mapping[str, int]) -> dict[str, int]:
    """Return how many replicas more each version of a namespace gets, by its name; what is asked for already and is not
    there yet has its room."""
    sizes = {name: pod_size(target.template) for name, target in targets.items()}
    left = {name: room.left for name, room in rooms.items()}
    for name, target in targets.items():
        pending = max(0, (target.replicas or 0) - target.existing)
        left = {of: amount - pending * sizes[name].get(of, 0) for of, amount in left.items()}
    replicas = {name: target.replicas or 0 for name, target in targets.items()}
    return spare_of(asked, replicas, sizes, left)


def _amounts(container: Manifest) -> dict[str, Fraction]:
    """Return what a container takes; it asks for what it is limited to, where it does not say otherwise."""
    resources = mapping_of(container.get("resources"))
    limits = mapping_of(resources.get("limits"))
    asked = {"limits": limits, "requests": {**limits, **mapping_of(resources.get("requests"))}}
    return {
        f"{kind}.{name}": figure
        for kind in _KINDS
        for name, value in asked[kind].items()
        if (figure := quantity(value)) is not None
    }


def _sum(parts: Iterable[Amounts]) -> dict[str, Fraction]:
    out: dict[str, Fraction] = defaultdict(Fraction)
    for part in parts:
        for name, amount in part.items():
            out[name] += amount
    return dict(out)
