"""The objects that were read, so that one can be found from another."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

from istio_templates.facts import Manifest
from istio_templates.names import MANAGED_BY, MANAGER
from istio_templates.workloads.service import service_named

_GROUPS = {
    "Gateway": "networking.istio.io",
    "VirtualService": "networking.istio.io",
    "DestinationRule": "networking.istio.io",
    "SeldonDeployment": "machinelearning.seldon.io",
    "InferenceService": "serving.kserve.io",
    "Service": "v1",
}


class ExistingObjects:
    """Objects of the kinds that are imported, by kind."""

    def __init__(self, objects: Iterable[Manifest]) -> None:
        self._found: dict[str, list[Manifest]] = defaultdict(list)
        self.ignored: list[Manifest] = []
        for obj in _flat(objects):
            if part(obj["metadata"], "labels").get(MANAGED_BY) == MANAGER:
                continue
            group = _GROUPS.get(str(obj.get("kind")))
            known = group is not None and str(obj.get("apiVersion", "")).partition("/")[0] == group
            (self._found[obj["kind"]] if known else self.ignored).append(obj)

    def all(self, kind: str) -> list[Manifest]:
        """Return all objects of a kind, by namespace and name."""
        return sorted(self._found[kind], key=lambda obj: (namespace_of(obj), obj["metadata"]["name"]))

    def service(self, host: str, namespace: str) -> Manifest | None:
        """Return the Service that a destination's host names, resolved from a namespace."""
        return next((s for s in self._found["Service"] if _means(host, namespace, s)), None)

    def has(self, kind: str, namespace: str, name: str) -> bool:
        """Tell whether an object was read."""
        return any(obj["metadata"]["name"] == name and namespace_of(obj) == namespace for obj in self._found[kind])

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
