"""World reader: from the store to a World of observed facts. Reads what the watches delivered, never the network."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

from collectors.replicas import PodState
from istio_templates.documents import InferenceGatewaySpec, ModelSpec
from istio_templates.facts import DEFAULT_KEDA, KedaFacts, ObjectKey
from k8s_manager.gather.document_reader import DocumentReader
from k8s_manager.gather.gateway_api_reader import GatewayApiReader, PodsOfGateways
from k8s_manager.gather.object_reader import ObjectReader
from k8s_manager.gather.pod_reader import PodReader
from k8s_manager.gather.slot_reader import SlotReader
from k8s_manager.kube.resources import DOCUMENTS
from k8s_manager.kube.store import Store
from k8s_manager.runtime.memo import Last, Memo
from k8s_manager.world.labels import departed_version
from k8s_manager.world.world import Deployed, Stored, World

Ready = dict[tuple[str, str, str], int]
Deployments = Mapping[tuple[str, str], tuple[Deployed, ...]]


class WorldReader:
    """Builds one World after another; what has not changed in the store is not read again."""

    def __init__(self, store: Store, documents: DocumentReader | None = None, keda: KedaFacts = DEFAULT_KEDA) -> None:
        self._store, self._memo, self._keda = store, Memo(), keda
        self._selected = Last()
        self.documents = documents or DocumentReader(store)
        self.pods, self.slots, self._objects = PodReader(store), SlotReader(store), ObjectReader(store)
        self._gateway_api = GatewayApiReader(store)

    def world(self) -> World:
        """Return the world as the store shows it, but for what `traffic.resolver` decides."""
        world = self.claims()
        counts = (self._ready(stored, world.deployed) for stored in world.models)
        rollouts = self._objects.rollouts()
        places = {place for place, _ in rollouts}
        found = replace(
            world,
            ready={key: count for ready in counts for key, count in ready.items()},
            limited=self.slots.limited(),
            duplicate_slot_filters=self._objects.duplicate_slot_filters(),
            scalers=self._objects.scalers(),
            rollouts=rollouts,
            stuck={namespace: self.pods.stuck(namespace) for namespace in places},
            unplaced={
                (place, *version): replicas
                for place in places
                for version, replicas in self.pods.unplaced(place).items()
            },
        )
        self.end_round(len(found.models))
        return found

    def claims(self) -> World:
        """Return the world as far as admission needs it: without replicas and limits."""
        gateways, tenants, models, overrides, warmup_plans, access_grants, versions, callers = map(
            self.documents.all, DOCUMENTS
        )
        gateway_pods = {s.key.name: self.pods.gateway_pods(s.spec) for s in gateways if s.spec}
        return World(
            gateways=gateways,
            tenants=tenants,
            models=models,
            overrides=overrides,
            warmup_plans=warmup_plans,
            access_grants=access_grants,
            model_versions=versions,
            callers=callers,
            caller_keys=self._objects.caller_keys(),
            files=self._objects.files(),
            ungated=frozenset().union(*(self._ungated(stored) for stored in models if _asks_for_gates(stored))),
            namespaces=self._objects.namespaces(),
            gateway_pods=gateway_pods,
            selecting=self._selecting(carried := _carried(gateways, gateway_pods)),
            gateway_api=self._gateway_api.gateway_api(carried),
            secrets=self._objects.secrets(),
            certificates=self._objects.certificates({s.spec.namespace for s in gateways if s.spec}),
            foreign=self._objects.foreign(),
            bound=self._objects.bound(),
            splits=self._objects.splits(_attached(models), self.pods),
            deployed=self._objects.deployed(),
            routing=self._objects.routing(),
            keda=self._keda,
            absent=frozenset(self._store.absent),
        )

    def _selecting(self, carried: PodsOfGateways) -> dict[str, frozenset[str]]:
        """Return which gateways' pods each Istio Gateway selects: by the labels that all of them have, or one does."""
        selectors = self._objects.selectors()

        def select() -> dict[str, frozenset[str]]:
            return {
                name: frozenset(pool for pool, (_, found) in carried.items() if any(labels <= one for one in found))
                for name, labels in selectors.items()
            }

        return self._selected.get((selectors, carried), select)

    def end_round(self, models: int) -> None:
        """Forget what was not asked for since the last call; there are so many `models`."""
        self._memo.end_round()
        self.pods.end_round(models)
        self.slots.end_round()

    def _ungated(self, stored: Stored[ModelSpec]) -> frozenset[tuple[str, str, str]]:
        document, changes = stored.document, self._store.changes("Pod", stored.key.namespace)
        assert document is not None
        return self._memo.get(("ungated", stored.key), (document, changes), partial(self.pods.ungated, document))

    def _ready(self, stored: Stored[ModelSpec], deployed: Deployments) -> Ready:
        """Return the ready replicas of a model's versions, and of those that only have a Deployment any more."""
        if stored.spec is None:
            return {}
        spec, key = stored.spec, (stored.key.namespace, stored.key.name)
        inputs = (spec, deployed.get(key, ()), self._store.changes("Pod", stored.key.namespace))
        return self._memo.get(("ready", stored.key), inputs, partial(self._counted, key, spec, inputs[1]))

    def _counted(self, key: tuple[str, str], spec: ModelSpec, deployed: tuple[Deployed, ...]) -> Ready:
        known = {version.name for version in spec.versions}
        added = tuple(departed_version(key[1], found.version) for found in deployed if found.version not in known)
        found = self.pods.ready(*key, spec)
        if added:
            found = found | self.pods.ready_of(key, added, spec)
        return {(*key, name): count for name, count in found.items()}


def _carried(
    gateways: tuple[Stored[InferenceGatewaySpec], ...], pods: Mapping[str, tuple[PodState, ...]]
) -> PodsOfGateways:
    """Return the labels that all pods of a gateway carry, and those that each one does."""
    return {
        stored.key.name: (
            stored.spec.namespace,
            (frozenset(stored.spec.selector.items()), *(pod.labels for pod in pods[stored.key.name])),
        )
        for stored in gateways
        if stored.spec
    }


def _attached(models: tuple[Stored[ModelSpec], ...]) -> frozenset[ObjectKey]:
    """Return the routes of others that models attach to."""
    return frozenset(
        stored.spec.attach_to.key(stored.key.namespace) for stored in models if stored.spec and stored.spec.attach_to
    )


def _asks_for_gates(stored: Stored[ModelSpec]) -> bool:
    return stored.spec is not None and stored.spec.warmup.how == "gate"
