"""Traffic resolver: which gateways serve each tenant and which versions serve each model now. Pure.

A tenant that moves between gateways and a model that changes its version keep serving from where they are until the
other side can. What that means for this moment is decided here, between gathering and admission.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any

from istio_templates.documents import Document, ModelSpec, TenantSpec
from istio_templates.facts import ObjectKey
from k8s_manager.runtime.memo import Memo
from k8s_manager.traffic import version_handover
from k8s_manager.traffic.attachment import observed_traffic
from k8s_manager.traffic.gateway_migration import binding
from k8s_manager.traffic.release_record import record_in
from k8s_manager.traffic.release_traffic import released
from k8s_manager.world.tenant import gateway_name, namespace_of
from k8s_manager.world.tenant_gateways import Binding
from k8s_manager.world.world import Deployed, Splits, Stored, World


@dataclass(frozen=True, slots=True)
class Handover:
    """A model with the document to go by, the versions in it that the stored one does not have, and its message."""

    stored: Stored[ModelSpec]
    departed: tuple[str, ...]
    message: str


class TrafficResolver:
    """Resolves one World after another; a document stays the same object while nothing about it changes.

    `overlap` is in seconds: how long both gateways of a tenant serve.
    """

    def __init__(self, overlap: float) -> None:
        self._overlap, self._memo = overlap, Memo()

    def resolve(self, world: World, now: datetime) -> World:
        """Return the world with the bindings of tenants and, for models in handover, the documents to go by."""
        attached, serving = self._attached(world), self._released(world)
        added = _added(world, serving)
        world = serving
        found = self._handovers(world)
        self._memo.end_round()
        instead = {key: handover.stored for key, handover in found.items()}
        instead |= {key: replace(s, document=d) for key, (s, d, _) in attached.items() if d is not s.document}
        models = tuple(instead.get(s.key, s) for s in world.models) if instead else world.models
        return replace(
            world,
            models=models,
            unfollowed={(key.namespace, key.name): problem for key, (_, _, problem) in attached.items() if problem},
            bindings=self.bindings(world, now),
            departed=_departed(added, found),
            handovers={(key.namespace, key.name): handover.message for key, handover in found.items()},
        )

    def _released(self, world: World) -> World:
        """Return the world in which models that are released step by step have the weights of their release."""
        found = {}
        for stored in world.models:
            if inputs := _release_inputs(stored, world):
                document = self._memo.get(("released", stored.key), inputs, partial(_of_release, *inputs))
                if document is not None:
                    found[stored.key] = replace(stored, document=document)
        return replace(world, models=tuple(found.get(s.key, s) for s in world.models)) if found else world

    def bindings(self, world: World, now: datetime) -> dict[str, Binding]:
        """Return which gateways serve each tenant, by its name."""
        namespaces = {stored.key.name: stored.spec.namespace for stored in world.gateways if stored.spec}
        carried = _carried(world)
        found = {}
        for stored in world.tenants:
            if stored.spec:
                target = gateway_name(stored.key.name, stored.spec)
                namespace = namespaces.get(target, "")
                missing = _missing(stored.spec, target, namespace, world)
                routes = carried.get(namespace_of(stored.key.name, stored.spec), {})
                bound = binding(
                    stored.status,
                    target,
                    missing,
                    now,
                    self._overlap,
                    _absent(routes, stored.status.get("gateway") or target),
                )
                left = sorted(frozenset().union(*routes.values()) - {*bound.gateways})
                found[stored.key.name] = replace(bound, leaving=tuple(name for name in left if name in namespaces))
        return found

    def _handovers(self, world: World) -> dict[ObjectKey, Handover]:
        found = {}
        for stored in world.models:
            if not stored.spec or stored.deleting or _is_settled(stored, stored.spec, world):
                continue
            if handover := self._handover(stored, stored.spec, world):
                found[stored.key] = handover
        return found

    def _attached(self, world: World) -> dict[ObjectKey, tuple[Stored[ModelSpec], Document[ModelSpec], str | None]]:
        """Return the attached models with the document to go by, and why that is not what their route has."""
        found = {}
        for stored in world.models:
            if stored.document is None or stored.document.spec.attach_to is None or stored.deleting:
                continue
            route = stored.document.spec.attach_to.key(stored.key.namespace)
            inputs = (stored.document, world.splits.get(route, ()))
            made = self._memo.get(("attached", stored.key), inputs, partial(_observed, *inputs))
            found[stored.key] = (stored, *made)
        return found

    def _handover(self, stored: Stored[ModelSpec], spec: ModelSpec, world: World) -> Handover | None:
        key = (stored.key.namespace, stored.key.name)
        known = [version.name for version in spec.versions]
        warm = {name: world.ready.get((*key, name), 0) for name in known}
        assert stored.document is not None
        inputs = (stored.document, warm, world.deployed.get(key, ()), world.routing.weights.get(key, {}))
        instead = self._memo.get(stored.key, inputs, partial(_effective, *inputs))
        if instead is None:
            return None
        added = tuple(version.name for version in instead.spec.versions if version.name not in known)
        return Handover(replace(stored, document=instead), added, version_handover.handover_message(spec, instead.spec))


def in_release(stored: Stored[Any], world: World) -> Stored[Any]:
    """Return a model with the document to go by while it is released step by step; the same where its own holds."""
    inputs = _release_inputs(stored, world)
    document = _of_release(*inputs) if inputs else None
    return replace(stored, document=document) if document else stored


def _release_inputs(
    stored: Stored[ModelSpec], world: World
) -> tuple[Document[ModelSpec], Any, Mapping[str, int], tuple[str, ...], str] | None:
    if stored.document is None or stored.document.spec.rollout is None or stored.deleting:
        return None
    key = (stored.key.namespace, stored.key.name)
    deployed = tuple(found.version for found in world.deployed.get(key, ()))
    rollout, live = stored.status.get("rollout"), world.routing.weights.get(key, {})
    return stored.document, rollout, live, deployed, stored.release_record


def _of_release(
    document: Document[ModelSpec], rollout: Any, live: Mapping[str, int], deployed: tuple[str, ...], record: str
) -> Document[ModelSpec] | None:
    instead = released(document.name, document.spec, {"rollout": rollout}, live, deployed, record_in(record))
    return replace(document, spec=instead) if instead else None


def _added(before: World, after: World) -> dict[ObjectKey, tuple[str, ...]]:
    """Return the versions by which the documents to go by have more than those that are stored."""
    found: dict[ObjectKey, tuple[str, ...]] = {}
    for stored, serving in zip(before.models, after.models, strict=True):
        if serving is not stored and stored.spec and serving.spec:
            known = {version.name for version in stored.spec.versions}
            more = tuple(version.name for version in serving.spec.versions if version.name not in known)
            found |= {stored.key: more} if more else {}
    return found


def _departed(
    added: Mapping[ObjectKey, tuple[str, ...]], handovers: Mapping[ObjectKey, Handover]
) -> dict[tuple[str, str], tuple[str, ...]]:
    """Return by model which versions serve though their document no longer has them."""
    gone = {key: handover.departed for key, handover in handovers.items()}
    return {
        (key.namespace, key.name): (*added.get(key, ()), *gone.get(key, ())) for key in dict.fromkeys((*added, *gone))
    }


def _carried(world: World) -> dict[str, dict[str, frozenset[str]]]:
    """Return, by namespace and VirtualService, through which gateways requests come to it now."""
    found: dict[str, dict[str, frozenset[str]]] = {}
    for namespace, name in world.routing.gateways:
        found.setdefault(namespace, {})[name] = world.routing.carrying((namespace, name))
    return found


def _absent(routes: Mapping[str, frozenset[str]], gateway: str) -> tuple[str, ...]:
    """Return the routes to which no requests come through a gateway: those that it is to serve and does not yet."""
    return tuple(sorted(name for name, gateways in routes.items() if gateway not in gateways))


def _missing(spec: TenantSpec, gateway: str, namespace: str, world: World) -> str | None:
    """Return what a gateway lacks before it can serve a tenant; None where it can."""
    if not any(pod.ready and not pod.leaving for pod in world.gateway_pods.get(gateway, ())):
        return "has no ready pod yet"
    secrets = sorted(host.tls.credential_name for host in spec.hosts if host.tls)
    absent = [name for name in secrets if (namespace, name) not in world.secrets]
    return f"has no Secret {', '.join(absent)} in namespace {namespace} yet" if absent else None


def _is_settled(stored: Stored[ModelSpec], spec: ModelSpec, world: World) -> bool:
    """Tell, at little cost, that a model has nothing to wait for: no departed version, and a version that serves."""
    key = (stored.key.namespace, stored.key.name)
    if not any(share.weight and world.ready.get((*key, share.version)) for share in spec.traffic):
        return False
    known = {version.name for version in spec.versions}
    return all(found.version in known for found in world.deployed.get(key, ()))


def _observed(document: Document[ModelSpec], splits: Splits) -> tuple[Document[ModelSpec], str | None]:
    found = observed_traffic(document.spec, splits)
    return (replace(document, spec=found.spec) if found.spec else document), found.problem


def _effective(
    document: Document[ModelSpec], warm: Mapping[str, int], deployed: tuple[Deployed, ...], live: Mapping[str, int]
) -> Document[ModelSpec] | None:
    instead = version_handover.effective(document.name, document.spec, warm, deployed, live)
    return replace(document, spec=instead) if instead else None
