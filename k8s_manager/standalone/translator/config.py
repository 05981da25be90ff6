"""The Istio and Kubernetes objects that the translator reads, and what of them a gateway pod sees."""

import copy
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.core.v3 import extension_pb2
from envoy.config.route.v3 import route_components_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2
from google.protobuf import json_format

from k8s_manager.standalone.translator.omissions import Omissions, UnknownField, mapping, mappings

Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class GatewayPod:
    """The pod that asks: its namespace, labels and address."""

    namespace: str
    labels: dict[str, str]
    address: str


@dataclass(slots=True)
class Config:
    """All objects, by kind, and what of them is left out."""

    gateways: list[Object] = field(default_factory=list)
    virtual_services: list[Object] = field(default_factory=list)
    destination_rules: list[Object] = field(default_factory=list)
    envoy_filters: list[Object] = field(default_factory=list)
    services: list[Object] = field(default_factory=list)
    endpoint_slices: list[Object] = field(default_factory=list)
    pods: list[Object] = field(default_factory=list)
    secrets: list[Object] = field(default_factory=list)
    telemetries: list[Object] = field(default_factory=list)
    omissions: Omissions = field(default_factory=Omissions, kw_only=True)

    def __post_init__(self) -> None:
        """Leave out what has no spec that could be read, so that no reader has to ask again."""
        for name in ("gateways", "virtual_services", "destination_rules", "envoy_filters", "services"):
            setattr(self, name, [obj for obj in getattr(self, name) if self._has_spec(obj)])

    def _has_spec(self, obj: Object) -> bool:
        if isinstance(obj.get("spec"), dict):
            return True
        self.omissions.note(obj, "spec", "a mapping is expected")
        return False


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
    """Return the Gateways that select a pod, of any namespace, as istiod takes them by default."""
    found = []
    for gateway in config.gateways:
        with config.omissions.contained(gateway, "spec"):
            selector = mapping(gateway["spec"].get("selector"), "selector")
            if selector.items() <= pod.labels.items():
                found.append(gateway)
    return by_age(found)


def filters_for(config: Config, pod: GatewayPod) -> list[Object]:
    """Return the EnvoyFilters for a pod in the order in which they are applied."""
    selected: list[tuple[int, Object]] = []
    for found in config.envoy_filters:
        with config.omissions.contained(found, "spec"):
            selector = mapping(found["spec"].get("workloadSelector"), "workloadSelector")
            labels = mapping(selector.get("labels"), "workloadSelector.labels")
            if namespace_of(found) == pod.namespace and labels.items() <= pod.labels.items():
                selected.append((int(found["spec"].get("priority") or 0), found))
    priorities = {id(found): priority for priority, found in selected}
    return sorted(by_age(found for _, found in selected), key=lambda found: priorities[id(found)])


def note_telemetries(config: Config, pod: GatewayPod) -> None:
    """Note what Telemetry objects ask of a pod: there is no mesh here whose providers could do it."""
    for found in config.telemetries:
        spec = found.get("spec")
        if namespace_of(found) == pod.namespace and isinstance(spec, dict):
            for name in sorted(spec.keys() - {"selector"}):
                config.omissions.note(found, f"spec.{name}", "a standalone has no mesh, and so no extension providers")


_OPERATIONS = {
    "CLUSTER": "MERGE",
    "NETWORK_FILTER": "MERGE",
    "HTTP_FILTER": "INSERT_BEFORE",
    "EXTENSION_CONFIG": "ADD",
    "HTTP_ROUTE": "MERGE",
}
"""What the translator does with the patches of each kind."""
_MESSAGES = {
    "CLUSTER": cluster_pb2.Cluster,
    "HTTP_FILTER": http_connection_manager_pb2.HttpFilter,
    "EXTENSION_CONFIG": extension_pb2.TypedExtensionConfig,
    "HTTP_ROUTE": route_components_pb2.Route,
}
_TYPED_STRUCT = "type.googleapis.com/udpa.type.v1.TypedStruct"


def patches_for(config: Config, pod: GatewayPod, apply_to: str) -> list[Object]:
    """Return the values of the patches of one kind for a pod, in order; what is not known is left out."""
    return [value for _, value in _patches(config, pod, apply_to)]


def route_patches(config: Config, pod: GatewayPod) -> dict[str, list[Object]]:
    """Return what is merged into the routes of a pod, by their names; a patch for all routes is left out."""
    out: dict[str, list[Object]] = {}
    for patch, value in _patches(config, pod, "HTTP_ROUTE"):
        out.setdefault(_route_named(patch), []).append(value)
    return out


def _route_named(patch: Object) -> str:
    found = mapping(patch.get("match"), "match")
    for name in ("routeConfiguration", "vhost", "route"):
        found = mapping(found.get(name), f"match.{name}")
    return str(found.get("name") or "")


def _patches(config: Config, pod: GatewayPod, apply_to: str) -> list[tuple[Object, Object]]:
    """Return the patches of one kind for a pod, each with its value."""
    values = []
    for found in filters_for(config, pod):
        with config.omissions.contained(found, "spec"):
            for number, patch in enumerate(mappings(found["spec"].get("configPatches"), "configPatches")):
                with config.omissions.contained(found, f"spec.configPatches[{number}]"):
                    if (kind := _kind_of(patch)) == apply_to:
                        values.append((patch, _value_of(kind, patch)))
    return values


def _kind_of(patch: Object) -> str:
    kind = str(patch.get("applyTo"))
    operation = mapping(patch.get("patch"), "patch").get("operation")
    if _OPERATIONS.get(kind) != operation:
        raise UnknownField("patch.operation", f"the translator does not know {operation} of {kind}")
    return kind


def _value_of(kind: str, patch: Object) -> Object:
    value = mapping(patch["patch"].get("value"), "patch.value")
    if kind == "HTTP_ROUTE" and not _route_named(patch):
        raise UnknownField("match", "the translator patches routes by their names only")
    if kind == "NETWORK_FILTER":
        return mapping(value.get("typed_config"), "patch.value.typed_config")
    if kind in ("HTTP_FILTER", "EXTENSION_CONFIG") and not value.get("name"):
        raise UnknownField("patch.value.name", "a name is expected")
    try:
        # What Envoy could not read at all would cost it the whole listener, and all clusters.
        json_format.ParseDict(opaque(value), _MESSAGES[kind]())
    except json_format.ParseError as error:
        raise UnknownField("patch.value", str(error)) from error
    return value


def merge(into: Object, new: Object) -> None:
    """Merge a patch into a configuration, as the operation MERGE does: lists get longer."""
    for name, value in new.items():
        if isinstance(value, dict) and isinstance(into.get(name), dict):
            merge(into[name], value)
        elif isinstance(value, list) and isinstance(into.get(name), list):
            into[name] += copy.deepcopy(value)
        else:
            into[name] = copy.deepcopy(value)


def opaque(value: Any) -> Any:
    """Wrap every typed config in a TypedStruct: Envoy knows its own types better than any library here."""
    if isinstance(value, list):
        return [opaque(item) for item in value]
    if not isinstance(value, dict):
        return value
    if "@type" in value:
        body = {name: inner for name, inner in value.items() if name != "@type"}
        return {"@type": _TYPED_STRUCT, "typeUrl": value["@type"], "value": body}
    return {name: opaque(inner) for name, inner in value.items()}


def split_host(host: str) -> tuple[str, str]:
    """Return (namespace or `*`, host) of a Gateway's host."""
    namespace, slash, rest = host.partition("/")
    return (namespace, rest) if slash else ("*", host)


def host_matches(pattern: str, host: str) -> bool:
    """Tell whether a Gateway's host covers a VirtualService's."""
    return pattern in ("*", host) or (pattern.startswith("*.") and host.endswith(pattern[1:]))
