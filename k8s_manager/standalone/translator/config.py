"""The Istio and Kubernetes objects that the translator reads, and what of them a gateway pod sees."""

import copy
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class GatewayPod:
    """The pod that asks: its namespace, labels and address."""

    namespace: str
    labels: dict[str, str]
    address: str


@dataclass(slots=True)
class Config:
    """All objects, by kind."""

    gateways: list[Object] = field(default_factory=list)
    virtual_services: list[Object] = field(default_factory=list)
    destination_rules: list[Object] = field(default_factory=list)
    envoy_filters: list[Object] = field(default_factory=list)
    services: list[Object] = field(default_factory=list)
    endpoint_slices: list[Object] = field(default_factory=list)
    pods: list[Object] = field(default_factory=list)
    secrets: list[Object] = field(default_factory=list)


def namespace_of(obj: Object) -> str:
    """Return the namespace of an object."""
    return str(obj["metadata"].get("namespace", ""))


def by_age(objects: Iterable[Object]) -> list[Object]:
    """Return objects as Istio orders them: by creation, then name, then namespace."""
    return sorted(
        objects, key=lambda o: (o["metadata"].get("creationTimestamp", ""), o["metadata"]["name"], namespace_of(o))
    )


def exported(obj: Object, namespace: str) -> bool:
    """Tell whether an object is exported to a namespace."""
    to = obj["spec"].get("exportTo") or ["*"]
    return "*" in to or namespace in to or ("." in to and namespace == namespace_of(obj))


def gateways_for(config: Config, pod: GatewayPod) -> list[Object]:
    """Return the Gateways that select a pod, in its own namespace only (PILOT_SCOPE_GATEWAY_TO_NAMESPACE)."""
    return by_age(
        g
        for g in config.gateways
        if namespace_of(g) == pod.namespace and g["spec"]["selector"].items() <= pod.labels.items()
    )


def filters_for(config: Config, pod: GatewayPod) -> list[Object]:
    """Return the EnvoyFilters for a pod in the order in which they are applied."""
    selected = [
        f
        for f in config.envoy_filters
        if namespace_of(f) == pod.namespace
        and f["spec"].get("workloadSelector", {}).get("labels", {}).items() <= pod.labels.items()
    ]
    return sorted(by_age(selected), key=lambda f: f["spec"].get("priority", 0))


def patches_for(config: Config, pod: GatewayPod, apply_to: str) -> list[Object]:
    """Return the patches of one kind for a pod, in order."""
    return [p for f in filters_for(config, pod) for p in f["spec"]["configPatches"] if p["applyTo"] == apply_to]


def merge(into: Object, new: Object) -> None:
    """Merge a patch into a configuration, as the operation MERGE does where lists are not concerned."""
    for name, value in new.items():
        if isinstance(value, dict) and isinstance(into.get(name), dict):
            merge(into[name], value)
        else:
            into[name] = copy.deepcopy(value)


def split_host(host: str) -> tuple[str, str]:
    """Return (namespace or `*`, host) of a Gateway's host."""
    namespace, slash, rest = host.partition("/")
    return (namespace, rest) if slash else ("*", host)


def host_matches(pattern: str, host: str) -> bool:
    """Tell whether a Gateway's host covers a VirtualService's."""
    return pattern in ("*", host) or (pattern.startswith("*.") and host.endswith(pattern[1:]))
