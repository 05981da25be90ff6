"""Objects that no document stands behind but that decisions depend on: namespaces, Secrets, ConfigMaps, autoscalers,
routes and EnvoyFilters of others."""

import base64
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import TypeVar

from collectors import autoscalers
from istio_templates import names
from istio_templates.envoy_filter import gateways_of_slots
from istio_templates.facts import LiveRoute, Manifest, ObjectKey
from istio_templates.gateway import hosts_of
from istio_templates.virtual_service import delegates_of, gateways_of, routes_of, weights_of
from k8s_manager.gather.caller_key_reader import public_keys
from k8s_manager.gather.destination_reader import DestinationReader
from k8s_manager.gather.pod_reader import PodReader
from k8s_manager.kube.store import Store
from k8s_manager.runtime.memo import Last, Memo
from k8s_manager.world import certificate
from k8s_manager.world.certificate import Certificate
from k8s_manager.world.installation import CALLER_KEYS
from k8s_manager.world.rollout import Rollout, rollout_of
from k8s_manager.world.world import Bound, Deployed, Foreign, NamespaceState, PublicKey, Routing, Splits
from ratelimiter.autoscaler import Scaler

T = TypeVar("T")


class ObjectReader:
    """Reads a kind again only when one of its objects has changed."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._last: dict[str, Last] = defaultdict(Last)
        self._contents, self._parsed, self._routed, self._rolled = Memo(), Memo(), Memo(), Memo()

    def namespaces(self) -> dict[str, NamespaceState]:
        """Return all namespaces."""
        return self._once("namespaces", ("Namespace",), self._namespaces)

    def secrets(self) -> frozenset[tuple[str, str]]:
        """Return (namespace, name) of all Secrets."""
        return self._once("secrets", ("Secret",), self._secrets)

    def certificates(self, namespaces: set[str]) -> dict[tuple[str, str], Certificate | None]:
        """Return the certificates in some namespaces; None where one cannot be read."""
        changes = tuple((namespace, self._store.changes("Secret", namespace)) for namespace in sorted(namespaces))
        return self._last["certificates"].get(changes, lambda: self._certificates(namespaces))

    def caller_keys(self) -> dict[str, tuple[PublicKey, ...]]:
        """Return the public keys of the tokens that the manager issues, by tenant."""
        stored = self._store.get(CALLER_KEYS)
        return self._last["caller keys"].get((stored,), lambda: public_keys(stored))

    def files(self) -> dict[tuple[str, str], dict[str, bytes]]:
        """Return the contents of the ConfigMaps that the manager does not own."""
        return self._once("files", ("ConfigMap",), self._files)

    def scalers(self) -> dict[tuple[str, str], Scaler]:
        """Return the autoscalers that the manager does not own, by (namespace, Deployment)."""
        return self._once("scalers", ("HorizontalPodAutoscaler", "ScaledObject"), self._scalers)

    def deployed(self) -> dict[tuple[str, str], tuple[Deployed, ...]]:
        """Return the versions that have a Deployment of the manager, by (namespace, model)."""
        return self._once("deployed", ("Deployment",), self._deployed)

    def rollouts(self) -> dict[tuple[str, str], Rollout]:
        """Return how far each Deployment of the manager has come, by (namespace, name)."""
        return self._once("rollouts", ("Deployment",), self._rollouts)

    def foreign(self) -> dict[tuple[str, str], Foreign]:
        """Return the VirtualServices that the manager does not own."""
        return self._once("foreign", ("VirtualService",), self._foreign)

    def selectors(self) -> dict[str, frozenset[tuple[str, str]]]:
        """Return the labels by which each Istio Gateway selects its pods, by `namespace/name`."""
        return self._once("selectors", ("Gateway",), self._selectors)

    def routing(self) -> Routing:
        """Return weights and Gateways of the VirtualServices that the manager owns."""
        return self._once("routing", ("VirtualService", "Gateway"), self._routing)

    def bound(self) -> Bound:
        """Return what live Gateways and VirtualServices already serve."""
        return self._once("bound", ("Gateway", "VirtualService"), self._bound)

    def splits(self, attached: frozenset[ObjectKey], pods: PodReader) -> dict[ObjectKey, Splits]:
        """Return how the routes that models attach to split requests."""
        if not attached:
            return {}
        kinds = ("VirtualService", "HTTPRoute", "Service", "DestinationRule", "Pod")
        inputs = (attached, *(self._store.changes(kind) for kind in kinds))

        def read() -> dict[ObjectKey, Splits]:
            reader = DestinationReader(self._store, pods)
            return {route: reader.splits(route) for route in attached}

        return self._last["splits"].get(inputs, read)

    def duplicate_slot_filters(self) -> dict[str, tuple[str, ...]]:
        """Return by gateway the EnvoyFilters of other owners that have the name of a slot."""
        return self._once("duplicates", ("EnvoyFilter",), self._duplicates)

    def _once(self, what: str, kinds: tuple[str, ...], read: Callable[[], T]) -> T:
        return self._last[what].get(tuple(self._store.changes(kind) for kind in kinds), read)

    def _owned(self, kind: str) -> Iterator[Manifest]:
        return (obj for obj in self._store.all(kind) if names.key_of(obj) in self._store.owned)

    def _others(self, kind: str) -> Iterator[Manifest]:
        return (obj for obj in self._store.all(kind) if names.key_of(obj) not in self._store.owned)

    def _deployed(self) -> dict[tuple[str, str], tuple[Deployed, ...]]:
        found: dict[tuple[str, str], tuple[Deployed, ...]] = {}
        for obj in self._owned("Deployment"):
            metadata = obj["metadata"]
            labels = metadata.get("labels") or {}
            if names.VERSION in labels and "deletionTimestamp" not in metadata:
                model = (metadata["namespace"], labels.get(names.MODEL, ""))
                ready = (obj.get("status") or {}).get("readyReplicas") or 0
                wanted = (obj.get("spec") or {}).get("replicas", 1)
                one = Deployed(labels[names.VERSION], ready, wanted, metadata.get("creationTimestamp", ""))
                found[model] = (*found.get(model, ()), one)
        return found

    def _rollouts(self) -> dict[tuple[str, str], Rollout]:
        found = {
            (obj["metadata"]["namespace"], obj["metadata"]["name"]): self._rolled.get(
                obj["metadata"]["uid"], (obj["metadata"]["resourceVersion"],), partial(rollout_of, obj)
            )
            for obj in self._owned("Deployment")
            if "deletionTimestamp" not in obj["metadata"]
        }
        self._rolled.end_round()
        return found

    def _routing(self) -> Routing:
        found = {
            (obj["metadata"]["namespace"], obj["metadata"]["name"]): self._routed.get(
                obj["metadata"]["uid"], (obj["metadata"]["resourceVersion"],), partial(_routed, obj)
            )
            for obj in self._owned("VirtualService")
            if "deletionTimestamp" not in obj["metadata"]
        }
        self._routed.end_round()
        weights = {key: weights for key, (weights, _) in found.items()}
        carriers = {
            f"{obj['metadata']['namespace']}/{obj['metadata']['name']}": (obj["metadata"].get("labels") or {})[
                names.GATEWAY
            ]
            for obj in self._owned("Gateway")
            if names.GATEWAY in (obj["metadata"].get("labels") or {}) and "deletionTimestamp" not in obj["metadata"]
        }
        return Routing(weights, {key: gateways for key, (_, gateways) in found.items()}, carriers)

    def _duplicates(self) -> dict[str, tuple[str, ...]]:
        out: dict[str, set[str]] = {}
        for obj in self._others("EnvoyFilter"):
            for gateway in gateways_of_slots(obj):
                out.setdefault(gateway, set()).add(f"{obj['metadata']['namespace']}/{obj['metadata']['name']}")
        return {gateway: tuple(sorted(found)) for gateway, found in out.items()}

    def _files(self) -> dict[tuple[str, str], dict[str, bytes]]:
        found: dict[tuple[str, str], dict[str, bytes]] = {
            (obj["metadata"]["namespace"], obj["metadata"]["name"]): self._contents.get(
                obj["metadata"]["uid"], (obj["metadata"]["resourceVersion"],), partial(_contents, obj)
            )
            for obj in self._others("ConfigMap")
        }
        self._contents.end_round()
        return found

    def _scalers(self) -> dict[tuple[str, str], Scaler]:
        out = {}
        for obj in self._others("HorizontalPodAutoscaler"):
            maker = autoscalers.scaled_object_of(obj)
            if (deployment := autoscalers.deployment_of(obj)) and not self._is_kept(obj, maker):
                metadata, most = obj["metadata"], obj["spec"].get("maxReplicas", 0)
                name = f"{metadata['name']} of ScaledObject {maker}" if maker else metadata["name"]
                out[metadata["namespace"], deployment] = Scaler(
                    name, most, autoscalers.targets(obj), autoscalers.usage(obj)
                )
        return out

    def _is_kept(self, hpa: Manifest, maker: str | None) -> bool:
        """Tell whether KEDA keeps an HPA for a ScaledObject of the manager; while that is deleted, it still scales."""
        key = ObjectKey("ScaledObject", hpa["metadata"]["namespace"], maker or "")
        own = self._store.owned.get(key)
        return own is not None and "deletionTimestamp" not in own["metadata"]

    def _foreign(self) -> dict[tuple[str, str], Foreign]:
        roots: dict[tuple[str, str], tuple[str, ...]] = {}
        for obj in self._others("VirtualService"):
            for delegate in delegates_of(obj):
                name = f"{obj['metadata']['namespace']}/{obj['metadata']['name']}"
                roots[delegate] = (*roots.get(delegate, ()), name)
        out = {}
        for obj in self._others("VirtualService"):
            place, spec = (obj["metadata"]["namespace"], obj["metadata"]["name"]), obj.get("spec") or {}
            export_to = tuple(spec.get("exportTo") or ("*",))
            out[place] = Foreign(export_to, gateways_of(obj), tuple(sorted(roots.get(place, ()))))
        return out

    def _selectors(self) -> dict[str, frozenset[tuple[str, str]]]:
        return {
            f"{obj['metadata']['namespace']}/{obj['metadata']['name']}": frozenset(
                ((obj.get("spec") or {}).get("selector") or {}).items()
            )
            for obj in self._store.all("Gateway")
        }

    def _namespaces(self) -> dict[str, NamespaceState]:
        return {
            obj["metadata"]["name"]: NamespaceState(
                obj["metadata"].get("labels", {}), "deletionTimestamp" in obj["metadata"]
            )
            for obj in self._store.all("Namespace")
        }

    def _secrets(self) -> frozenset[tuple[str, str]]:
        return frozenset((obj["metadata"]["namespace"], obj["metadata"]["name"]) for obj in self._store.all("Secret"))

    def _certificates(self, namespaces: set[str]) -> dict[tuple[str, str], Certificate | None]:
        found = {
            (namespace, obj["metadata"]["name"]): self._parsed.get(
                obj["metadata"]["uid"], (obj["metadata"]["resourceVersion"],), partial(certificate.read, obj)
            )
            for namespace in namespaces
            for obj in self._store.inside("Secret", namespace)
        }
        self._parsed.end_round()
        return found

    def _bound(self) -> Bound:
        hosts: list[tuple[str, str]] = []
        routed: list[tuple[str, str]] = []
        routes: list[LiveRoute] = []
        for gateway in self._owned("Gateway"):
            if tenant := gateway["metadata"].get("labels", {}).get(names.TENANT):
                hosts += [(host, tenant) for host in hosts_of(gateway)]
        for service in self._owned("VirtualService"):
            if tenant := service["metadata"].get("labels", {}).get(names.TENANT):
                routed += [(host, tenant) for host in service.get("spec", {}).get("hosts", [])]
                routes += routes_of(service)
        return Bound(tuple(hosts), tuple(routed), tuple(routes))


def _routed(obj: Manifest) -> tuple[dict[str, int], tuple[str, ...]]:
    """Return the weights and the Gateways of a VirtualService."""
    return weights_of(obj), gateways_of(obj)


def _contents(obj: Manifest) -> dict[str, bytes]:
    """Return what is in a ConfigMap, by its keys."""
    found = {key: text.encode() for key, text in (obj.get("data") or {}).items()}
    for key, text in (obj.get("binaryData") or {}).items():
        with suppress(ValueError):  # what is not Base64 is no file
            found[key] = base64.b64decode(text)
    return found
