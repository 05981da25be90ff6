"""Where the routes that models attach to send requests: their destinations, and the pods behind them."""

from collections import defaultdict

from istio_templates.facts import Manifest, ObjectKey
from istio_templates.virtual_service import splits_of
from istio_templates.workloads.service import service_named
from k8s_manager.gather import http_route
from k8s_manager.gather.pod_reader import PodReader
from k8s_manager.kube.store import Store
from k8s_manager.world.world import Destination, Splits

Labels = frozenset[tuple[str, str]]


class DestinationReader:
    """Reads the destinations of VirtualServices and HTTPRoutes from one state of the store."""

    def __init__(self, store: Store, pods: PodReader) -> None:
        self._store, self._pods = store, pods
        self._rules: dict[tuple[str, str], list[Manifest]] = defaultdict(list)
        for rule in store.all("DestinationRule"):
            host, namespace = (rule.get("spec") or {}).get("host") or "", rule["metadata"]["namespace"]
            self._rules[service_named(host, namespace)].append(rule)

    def splits(self, route: ObjectKey) -> Splits:
        """Return how a VirtualService or an HTTPRoute splits requests; not at all where it is not there."""
        found = self._store.get(route)
        if found is None:
            return ()
        splits = http_route.splits_of(found) if route.kind == "HTTPRoute" else splits_of(found)
        return tuple(tuple(self._destination(route.namespace, *target) for target in split) for split in splits)

    def _destination(self, namespace: str, host: str, subset: str, weight: int) -> Destination:
        place = service_named(host, namespace)
        labels = self._labels(place, namespace, subset)
        if labels is None:
            return Destination(host, subset, weight)
        pods = frozenset(pod.labels for pod in self._pods.of_namespace(place[0]) if labels <= pod.labels)
        return Destination(host, subset, weight, labels, pods)

    def _labels(self, place: tuple[str, str], namespace: str, subset: str) -> Labels | None:
        """Return the labels of the pods behind a Service, or a subset of it; None where they are not known."""
        service = self._store.get(ObjectKey("Service", *place)) or {}
        selector = (service.get("spec") or {}).get("selector")
        if not selector:
            return None
        chosen = self._subset(place, namespace, subset) if subset else {}
        return None if chosen is None else frozenset({**selector, **chosen}.items())

    def _subset(self, place: tuple[str, str], namespace: str, name: str) -> dict[str, str] | None:
        """Return the labels of a subset; a DestinationRule beside the VirtualService counts before others."""
        rules = sorted(self._rules[place], key=lambda rule: rule["metadata"]["namespace"] != namespace)
        for rule in rules:
            for subset in rule["spec"].get("subsets") or []:
                if subset["name"] == name:
                    return subset.get("labels") or {}
        return None
