"""gather: from the store to a World. Reads what the watches have told, never the network."""

import base64
import logging
from dataclasses import replace
from datetime import datetime
from functools import partial

from collectors import autoscalers
from collectors.replicas import PodState, ReadyPods, pod_seen, present
from istio_templates import names
from istio_templates.documents import Document, InferenceGatewaySpec, ModelSpec, TenantSpec
from istio_templates.envoy_filter import gateways_of_slots, limits_of
from istio_templates.facts import GatewayPool, LiveRoute, Manifest
from istio_templates.gateway import hosts_of
from istio_templates.virtual_service import gateways_of, routes_of
from k8s_manager.gather.document_reader import DocumentReader
from k8s_manager.kube.resources import DOCUMENTS
from k8s_manager.kube.store import Store
from k8s_manager.runtime.memo import Last, Memo
from k8s_manager.runtime.settings import GATEWAY_OVERLAP
from k8s_manager.traffic.gateway_migration import binding
from k8s_manager.traffic.handover_reader import HandoverReader
from k8s_manager.world import certificate
from k8s_manager.world.binding import Binding
from k8s_manager.world.certificate import Certificate
from k8s_manager.world.labels import version_labels
from k8s_manager.world.tenant import gateway_name, namespace_of
from k8s_manager.world.world import Bound, Foreign, NamespaceState, Stored, World
from ratelimiter.autoscaler import Scaler
from ratelimiter.controller import Limits, Slot

log = logging.getLogger(__name__)


class WorldReader:
    """Builds one World after another; what has not changed in the store is not read again."""

    def __init__(
        self,
        store: Store,
        overlap: float = GATEWAY_OVERLAP,
        documents: DocumentReader | None = None,
        waits_for_git: bool = False,
    ) -> None:
        self._store, self._overlap, self._waits_for_git = store, overlap, waits_for_git
        self._memo = Memo()
        self._files_in, self._read_once = Memo(), Memo()
        self._labels: dict[tuple[str, str], tuple[ModelSpec, tuple[tuple[str, frozenset[tuple[str, str]]], ...]]] = {}
        self._handovers = HandoverReader(store)
        self.documents = documents or DocumentReader(store)
        self._namespaces, self._secrets, self._limited, self._slot_objects = Last(), Last(), Last(), Last()
        self._certified = Last()
        self._bound, self._twins, self._foreign, self._scalers, self._files = Last(), Last(), Last(), Last(), Last()

    def world(self, now: datetime) -> World:
        """Return the world as the store shows it; `now` is the time by which moves begin and end."""
        world = self.claims(now)
        models = world.models
        ready = {key: count for stored in models for key, count in self._ready(stored)}
        handed = self._handovers.of(models, ready)
        if handed:
            models = tuple(handed[s.key].stored if s.key in handed else s for s in models)
            ready |= {key: count for found in handed.values() for key, count in self._ready(found.stored, "handed")}
        found = replace(
            world,
            models=models,
            departed={(key.namespace, key.name): found.departed for key, found in handed.items()},
            handovers={(key.namespace, key.name): found.said for key, found in handed.items()},
            ready=ready,
            limited=self.limited(),
            twins=self._twins.get((self._store.changes("EnvoyFilter"),), self._read_twins),
            scalers=self._scalers.get((self._store.changes("HorizontalPodAutoscaler"),), self._read_scalers),
        )
        self.end_round(len(models))
        return found

    def claims(self, now: datetime) -> World:
        """Return the world as far as it decides who may have what: without replicas, limits, and who waits for whom."""
        gateways, tenants, models, overrides, warmup_plans, access_grants = map(self.documents.all, DOCUMENTS)
        gateway_pods = {stored.key.name: self.gateway_pods(stored.document) for stored in gateways if stored.document}
        secrets = self._secrets.get((self._store.changes("Secret"),), self._read_secrets)
        live = (self._store.changes("Gateway"), self._store.changes("VirtualService"))
        return World(
            gateways=gateways,
            tenants=tenants,
            models=models,
            overrides=overrides,
            warmup_plans=warmup_plans,
            access_grants=access_grants,
            files=self._files.get((self._store.changes("ConfigMap"),), self._read_files),
            ungated=frozenset().union(*(self._ungated(stored) for stored in models if _asks_for_gates(stored))),
            namespaces=self._namespaces.get((self._store.changes("Namespace"),), self._read_namespaces),
            gateway_pods=gateway_pods,
            bindings=self._bindings(gateways, tenants, gateway_pods, secrets, now),
            secrets=secrets,
            certificates=self._certificates(gateways),
            foreign=self._foreign.get((self._store.changes("VirtualService"),), self._read_foreign),
            bound=self._bound.get(live, self._read_bound),
        )

    def pods(self, namespace: str) -> list[PodState]:
        """Return the pods of a namespace."""
        changes = self._store.changes("Pod", namespace)
        return self._memo.get(
            ("pods", namespace), (changes,), lambda: [pod_seen(pod) for pod in self._store.inside("Pod", namespace)]
        )

    def ready(self, namespace: str, model: str, spec: ModelSpec) -> dict[str, int]:
        """Return the ready replicas of each version of a model."""
        changes = self._store.changes("Pod", namespace)
        proved = spec.warmup.how == "gate"
        pods = self._memo.get(("ready", namespace, proved), (changes,), lambda: self._ready_pods(namespace, proved))
        found = self._labels.get((namespace, model))
        if found is None or found[0] is not spec:
            labels = tuple((version.name, frozenset(version_labels(model, version))) for version in spec.versions)
            found = self._labels[namespace, model] = (spec, labels)
        return {name: pods.count(wanted) for name, wanted in found[1]}

    def _ready_pods(self, namespace: str, proved: bool) -> ReadyPods:
        """Return the ready pods of a namespace; of those with a gate only `proved` ones, where their model asks for
        that."""
        return ReadyPods(pod for pod in self.pods(namespace) if pod.proved or not proved)

    def gateway_pods(self, document: Document) -> tuple[PodState, ...]:
        """Return the pods of a gateway, starting and leaving ones included."""
        assert isinstance(document.spec, InferenceGatewaySpec)
        return tuple(present(self.pods(document.spec.namespace), tuple(document.spec.selector.items())))

    def gateway_pods_of(self, pool: GatewayPool) -> list[PodState]:
        """Return the pods of a gateway by its facts."""
        return present(self.pods(pool.namespace), pool.selector)

    def answering_pods(self, pool: GatewayPool) -> list[PodState]:
        """Return the pods of a gateway that can be asked something: ready ones that stay, with an address."""
        return [pod for pod in self.gateway_pods_of(pool) if pod.ready and not pod.leaving and pod.address]

    def end_round(self, models: int) -> None:
        """Forget what was not asked for since the last call, and labels when there are many more than `models`."""
        self._memo.end_round()
        if len(self._labels) > 2 * models + 100:
            self._labels.clear()

    def slots(self) -> dict[Slot, Limits]:
        """Return what every slot of every gateway limits now."""
        return {
            slot: self._memo.get(("slot", slot), (obj["metadata"]["resourceVersion"],), partial(_limits, slot, obj))
            for slot, obj in self.slot_objects().items()
        }

    def limited(self) -> frozenset[tuple[str, str]]:
        """Return (gateway, identity) of every limit that is in a slot."""
        return self._limited.get((self._store.changes("EnvoyFilter"),), self._read_limited)

    def slot_objects(self) -> dict[Slot, Manifest]:
        """Return the EnvoyFilter of every slot of every gateway."""
        return self._slot_objects.get((self._store.changes("EnvoyFilter"),), self._read_slot_objects)

    def _read_limited(self) -> frozenset[tuple[str, str]]:
        return frozenset((pool, identity) for (pool, _), found in self.slots().items() for identity, _ in found)

    def _read_slot_objects(self) -> dict[Slot, Manifest]:
        out: dict[Slot, Manifest] = {}
        for obj in self._store.all("EnvoyFilter"):
            pool = obj["metadata"].get("labels", {}).get(names.GATEWAY, "")
            number = obj["metadata"]["name"].removeprefix(f"tidegate-{pool}-slot-")
            if pool and number.isdigit():
                out[pool, int(number)] = obj
        return out

    def _bindings(
        self,
        gateways: tuple[Stored, ...],
        tenants: tuple[Stored, ...],
        pods: dict[str, tuple[PodState, ...]],
        secrets: frozenset[tuple[str, str]],
        now: datetime,
    ) -> dict[str, Binding]:
        specs = {s.key.name: s.document.spec for s in gateways if s.document}
        places = {name: spec.namespace for name, spec in specs.items() if isinstance(spec, InferenceGatewaySpec)}
        found = {}
        for stored in tenants:
            if stored.document and isinstance(stored.document.spec, TenantSpec):
                spec, wanted = stored.document.spec, gateway_name(stored.key.name, stored.document.spec)
                named = sorted(host.tls.credential_name for host in spec.hosts if host.tls)
                place = places.get(wanted, "")
                missing = [name for name in named if (place, name) not in secrets]
                lacks = f"has no Secret {', '.join(missing)} in namespace {place} yet" if missing else None
                if not any(pod.ready and not pod.leaving for pod in pods.get(wanted, ())):
                    lacks = "has no ready pod yet"
                has_arrived = not stored.status.get("moving") or self._has_arrived(stored.key.name, spec, place)
                found[stored.key.name] = binding(stored.status, wanted, lacks, now, self._overlap, has_arrived)
        return found

    def _has_arrived(self, tenant: str, spec: TenantSpec, place: str) -> bool:
        """Tell whether the routes of a tenant are bound to a Gateway in a namespace; where the manager brings that
        itself, they are at once."""
        if not self._waits_for_git:
            return True
        routes = self._store.inside("VirtualService", namespace_of(tenant, spec))
        ours = [route for route in routes if names.key_of(route) in self._store.owned]
        return all(any(name.startswith(f"{place}/") for name in gateways_of(route)) for route in ours)

    def _read_twins(self) -> dict[str, tuple[str, ...]]:
        out: dict[str, set[str]] = {}
        for obj in self._store.all("EnvoyFilter"):
            if names.key_of(obj) not in self._store.owned:
                for gateway in gateways_of_slots(obj):
                    out.setdefault(gateway, set()).add(f"{obj['metadata']['namespace']}/{obj['metadata']['name']}")
        return {gateway: tuple(sorted(found)) for gateway, found in out.items()}

    def _read_files(self) -> dict[tuple[str, str], dict[str, bytes]]:
        found: dict[tuple[str, str], dict[str, bytes]] = {
            (obj["metadata"]["namespace"], obj["metadata"]["name"]): self._files_in.get(
                obj["metadata"]["uid"], (obj["metadata"]["resourceVersion"],), partial(_contents, obj)
            )
            for obj in self._store.all("ConfigMap")
            if names.key_of(obj) not in self._store.owned
        }
        self._files_in.end_round()
        return found

    def _ungated(self, stored: Stored) -> frozenset[tuple[str, str, str]]:
        document, changes = stored.document, self._store.changes("Pod", stored.key.namespace)
        assert document is not None
        return self._memo.get(("ungated", stored.key), (document, changes), partial(self.ungated, document))

    def ungated(self, document: Document) -> frozenset[tuple[str, str, str]]:
        """Return the versions of a model that asks for gates of whose existing pods one has none."""
        spec, namespace = document.spec, document.namespace or ""
        if not isinstance(spec, ModelSpec) or spec.warmup.how != "gate":
            return frozenset()
        existing = [version for version in spec.versions if version.existing]
        return frozenset(
            (namespace, document.name, version.name)
            for version in existing
            if any(not pod.gated for pod in present(self.pods(namespace), version_labels(document.name, version)))
        )

    def _read_scalers(self) -> dict[tuple[str, str], Scaler]:
        out = {}
        for obj in self._store.all("HorizontalPodAutoscaler"):
            if deployment := autoscalers.deployment_of(obj):
                metadata, most = obj["metadata"], obj["spec"].get("maxReplicas", 0)
                out[metadata["namespace"], deployment] = Scaler(metadata["name"], most, autoscalers.targets(obj))
        return out

    def _read_foreign(self) -> dict[tuple[str, str], Foreign]:
        out = {}
        for obj in self._store.all("VirtualService"):
            if names.key_of(obj) not in self._store.owned:
                metadata, spec = obj["metadata"], obj.get("spec") or {}
                found = Foreign(tuple(spec.get("exportTo") or ("*",)), gateways_of(obj))
                out[metadata["namespace"], metadata["name"]] = found
        return out

    def _read_namespaces(self) -> dict[str, NamespaceState]:
        return {
            obj["metadata"]["name"]: NamespaceState(
                obj["metadata"].get("labels", {}), "deletionTimestamp" in obj["metadata"]
            )
            for obj in self._store.all("Namespace")
        }

    def _read_secrets(self) -> frozenset[tuple[str, str]]:
        return frozenset((obj["metadata"]["namespace"], obj["metadata"]["name"]) for obj in self._store.all("Secret"))

    def _certificates(self, gateways: tuple[Stored, ...]) -> dict[tuple[str, str], Certificate | None]:
        specs = [stored.document.spec for stored in gateways if stored.document]
        places = {spec.namespace for spec in specs if isinstance(spec, InferenceGatewaySpec)}
        changes = tuple((place, self._store.changes("Secret", place)) for place in sorted(places))
        return self._certified.get(changes, lambda: self._read_certificates(places))

    def _read_certificates(self, places: set[str]) -> dict[tuple[str, str], Certificate | None]:
        found = {
            (place, obj["metadata"]["name"]): self._read_once.get(
                obj["metadata"]["uid"], (obj["metadata"]["resourceVersion"],), partial(certificate.read, obj)
            )
            for place in places
            for obj in self._store.inside("Secret", place)
        }
        self._read_once.end_round()
        return found

    def _read_bound(self) -> Bound:
        hosts: list[tuple[str, str]] = []
        routed: list[tuple[str, str]] = []
        routes: list[LiveRoute] = []
        for gateway in self._store.all("Gateway"):
            if tenant := gateway["metadata"].get("labels", {}).get(names.TENANT):
                hosts += [(host, tenant) for host in hosts_of(gateway)]
        for service in self._store.all("VirtualService"):
            tenant = service["metadata"].get("labels", {}).get(names.TENANT)
            if tenant and names.key_of(service) in self._store.owned:
                routed += [(host, tenant) for host in service.get("spec", {}).get("hosts", [])]
                routes += routes_of(service)
        return Bound(tuple(hosts), tuple(routed), tuple(routes))

    def _ready(self, stored: Stored, which: str = "stored") -> list[tuple[tuple[str, str, str], int]]:
        if stored.document is None:
            return []
        spec, namespace, model = stored.document.spec, stored.key.namespace, stored.key.name
        assert isinstance(spec, ModelSpec)
        return self._memo.get(
            (which, stored.key),
            (spec, self._store.changes("Pod", namespace)),
            lambda: [((namespace, model, name), n) for name, n in self.ready(namespace, model, spec).items()],
        )


def _asks_for_gates(stored: Stored) -> bool:
    spec = stored.document.spec if stored.document else None
    return isinstance(spec, ModelSpec) and spec.warmup.how == "gate"


def _contents(obj: Manifest) -> dict[str, bytes]:
    """Return what is in a ConfigMap, by its keys."""
    texts = {key: text.encode() for key, text in (obj.get("data") or {}).items()}
    return texts | {key: base64.b64decode(text) for key, text in (obj.get("binaryData") or {}).items()}


def _limits(slot: Slot, obj: Manifest) -> Limits:
    """Return what a slot limits. In a shared one all is enforced for all requests, whatever somebody has made of it."""
    found = limits_of(obj)
    return found if slot[1] < names.PINNED_SLOTS else tuple((key, replace(b, enforced=100)) for key, b in found)
