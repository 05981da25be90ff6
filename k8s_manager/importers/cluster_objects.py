"""The objects that were read, so that one can be found from another."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any

from istio_templates.documents import Document, parse
from istio_templates.documents.parse import API_VERSION, SPECS
from istio_templates.errors import Invalid
from istio_templates.facts import Manifest, ObjectKey
from istio_templates.names import MANAGED_BY, MANAGER
from istio_templates.workloads.service import service_named
from k8s_manager.kube.shapes import fit

_KINDS = {
    ("networking.istio.io", "Gateway"): "Gateway",
    ("networking.istio.io", "VirtualService"): "VirtualService",
    ("networking.istio.io", "DestinationRule"): "DestinationRule",
    ("machinelearning.seldon.io", "SeldonDeployment"): "SeldonDeployment",
    ("serving.kserve.io", "InferenceService"): "InferenceService",
    ("v1", "Service"): "Service",
    ("gateway.networking.k8s.io", "Gateway"): "KubernetesGateway",
    ("gateway.networking.k8s.io", "HTTPRoute"): "HTTPRoute",
    ("gateway.networking.k8s.io", "GRPCRoute"): "GRPCRoute",
    ("inference.networking.k8s.io", "InferencePool"): "InferencePool",
    ("inference.networking.x-k8s.io", "InferencePool"): "InferencePool",
    ("autoscaling", "HorizontalPodAutoscaler"): "HorizontalPodAutoscaler",
    ("keda.sh", "ScaledObject"): "ScaledObject",
    **{(API_VERSION.partition("/")[0], kind): kind for kind in SPECS},
}
"""The kinds that are read, by group and kind."""
_AS_WATCHED = ("KubernetesGateway", "HTTPRoute", "GRPCRoute")
"""Kinds that are read by the manager's own readers, which rely on their shapes."""


class ExistingObjects:
    """Objects of the kinds that are imported, by kind."""

    def __init__(self, objects: Iterable[Manifest]) -> None:
        self._found: dict[str, list[Manifest]] = defaultdict(list)
        self.ignored: list[Manifest] = []
        self.odd: list[tuple[Manifest, str]] = []
        for obj in _flat(objects):
            if part(obj["metadata"], "labels").get(MANAGED_BY) == MANAGER:
                continue
            kind = _KINDS.get((str(obj.get("apiVersion", "")).partition("/")[0], str(obj.get("kind"))))
            if kind is None:
                self.ignored.append(obj)
            else:
                self._found[kind].append(self._fitting(obj, kind) if kind in _AS_WATCHED else obj)

    def _fitting(self, obj: Manifest, kind: str) -> Manifest:
        """Return an object without what its readers do not expect, in the namespace that it means."""
        placed = {**obj, "kind": kind, "metadata": {**obj["metadata"], "namespace": namespace_of(obj)}}
        fitting, odd = fit(placed)
        found = {**fitting, "kind": obj["kind"]}
        self.odd.extend((found, place) for place in odd)
        return found

    def all(self, kind: str) -> list[Manifest]:
        """Return all objects of a kind, by namespace and name."""
        return sorted(self._found[kind], key=lambda obj: (namespace_of(obj), obj["metadata"]["name"]))

    def documents(self) -> dict[ObjectKey, Document]:
        """Return the documents of Tidegate among them that are right in themselves."""
        found = {}
        for obj in (one for kind in SPECS for one in self.all(kind)):
            with suppress(Invalid):
                document = parse(obj)
                found[document.key] = document
        return found

    def service(self, host: str, namespace: str) -> Manifest | None:
        """Return the Service that a destination's host names, resolved from a namespace."""
        return next((s for s in self._found["Service"] if _means(host, namespace, s)), None)

    def get(self, kind: str, namespace: str, name: str) -> Manifest | None:
        """Return an object that was read."""
        found = (obj for obj in self._found[kind] if obj["metadata"]["name"] == name and namespace_of(obj) == namespace)
        return next(found, None)

    def rules(self, host: str, namespace: str) -> list[Manifest]:
        """Return the DestinationRules of a destination, resolved from a namespace: those there, then those of the
        Service's own."""
        place = service_named(host, namespace)
        found = [
            rule
            for rule in self._found["DestinationRule"]
            if namespace_of(rule) in (namespace, place[0])
            and service_named(str(part(rule, "spec").get("host", "")), namespace_of(rule)) == place
        ]
        return sorted(found, key=lambda rule: namespace_of(rule) != namespace)

    def subset(self, host: str, name: str, namespace: str) -> Manifest | None:
        """Return a subset of a destination, resolved from a namespace."""
        subsets = (subset for rule in self.rules(host, namespace) for subset in items(part(rule, "spec"), "subsets"))
        return next((subset for subset in subsets if subset.get("name") == name), None)


def namespace_of(obj: Manifest) -> str:
    """Return the namespace of an object."""
    return str(obj["metadata"].get("namespace") or "default")


def part(obj: Manifest, name: str) -> Manifest:
    """Return a part that is a mapping; empty where it is not."""
    found = obj.get(name)
    return found if isinstance(found, dict) else {}


def items(obj: Manifest, name: str) -> list[Manifest]:
    """Return the mappings in a list; none where it is not one."""
    found = obj.get(name)
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []


def texts(obj: Manifest, name: str) -> list[str]:
    """Return the texts in a list; none where it is not one."""
    found = obj.get(name)
    return [item for item in found if isinstance(item, str)] if isinstance(found, list) else []


def _flat(objects: Iterable[Manifest]) -> Iterator[Manifest]:
    """Yield objects, and those in lists as kubectl prints them."""
    for obj in objects:
        if str(obj.get("kind", "")).endswith("List") and isinstance(obj.get("items"), list):
            yield from _flat(items(obj, "items"))
        elif isinstance(obj.get("metadata"), dict) and isinstance(obj["metadata"].get("name"), str):
            yield obj
        else:
            yield {**obj, "kind": "", "metadata": {"name": f"{obj.get('kind')} without a name"}}


def _means(host: str, namespace: str, service: Any) -> bool:
    return service_named(host, namespace) == (namespace_of(service), service["metadata"]["name"])
