"""From documents alone to manifests: what `tidegate render` shows, without any cluster."""

from collections.abc import Iterable, Mapping
from typing import Any

from istio_templates.catalog import in_order
from istio_templates.documents import Document, TenantSpec, parse
from istio_templates.documents.parse import SPECS
from istio_templates.errors import Invalid, Problem
from istio_templates.facts import Manifest, ObjectKey
from k8s_manager.drift.pod_defaults import with_pod_defaults
from k8s_manager.pipeline.plan import Plan, plan_once
from k8s_manager.pipeline.render import Renderer
from k8s_manager.pipeline.tenant_plan import own_gateway
from k8s_manager.world.tenant import can_have_own_gateway
from k8s_manager.world.world import Stored, World


def world_of(
    documents: Iterable[Document],
    uids: Mapping[str, str] | None = None,
    secrets: Iterable[tuple[str, str]] | None = None,
) -> World:
    """Return a world that holds nothing but `documents`; every certificate is there unless `secrets` are given."""
    return world_with((stored(document, (uids or {}).get(document.name, "")) for document in documents), secrets)


def world_with(found: Iterable[Stored], secrets: Iterable[tuple[str, str]] | None = None) -> World:
    """Return a world that holds nothing but the documents in `found`; for certificates see `world_of`."""
    by_kind: dict[str, list[Stored[Any]]] = {kind: [] for kind in SPECS}
    certificates = set(secrets or ())
    for document in found:
        by_kind[document.key.kind].append(document)
    if secrets is None:
        certificates = _referred(by_kind)
    return World(
        gateways=tuple(by_kind["InferenceGateway"]),
        tenants=tuple(by_kind["Tenant"]),
        models=tuple(by_kind["Model"]),
        overrides=tuple(by_kind["LimitOverride"]),
        warmup_plans=tuple(by_kind["WarmupPlan"]),
        access_grants=tuple(by_kind["AccessGrant"]),
        model_versions=tuple(by_kind["ModelVersion"]),
        callers=tuple(by_kind["Caller"]),
        namespaces={},
        ready={},
        gateway_pods={},
        limited=frozenset(),
        secrets=frozenset(certificates),
    )


def _referred(by_kind: Mapping[str, list[Stored]]) -> set[tuple[str, str]]:
    gateways = [s.document.spec for s in by_kind["InferenceGateway"] if s.document]
    namespaces = {spec.namespace for spec in gateways}  # type: ignore[union-attr]
    names = {
        host.tls.credential_name
        for s in by_kind["Tenant"]
        if s.document
        for host in s.document.spec.hosts  # type: ignore[union-attr]
        if host.tls
    }
    names |= {one.credential_name for spec in gateways for one in spec.listeners if one.credential_name}  # type: ignore[union-attr]
    return {(str(namespace), name) for namespace in namespaces for name in names}


def with_own_gateways(documents: Iterable[Document]) -> list[Document]:
    """Return documents, and the gateways that tenants among them have of their own: in a cluster the manager makes
    those, and only then what stands on them."""
    given = list(documents)
    there = {document.name for document in given if document.kind == "InferenceGateway"}
    own = [
        Document("InferenceGateway", document.name, None, own_gateway(document.name, document.spec))
        for document in given
        if isinstance(document.spec, TenantSpec) and document.spec.gateway.dedicated and document.name not in there
        if can_have_own_gateway(document.name)
    ]
    return [*given, *own]


def stored(document: Document, uid: str = "") -> Stored:
    """Return a document as if it were stored, and not accepted yet."""
    key = document.key
    return Stored(key, uid, 1, "", False, True, document, ())


def planned(world: World) -> Plan:
    """Return the plan of a world; raises `Invalid` listing what is wrong with its documents."""
    plan = plan_once(world)
    wrong = [(key, verdict) for key, verdict in plan.admission.items() if not verdict.accepted]
    if wrong:
        raise Invalid(str(wrong[0][0]), [problem for _, verdict in wrong for problem in verdict.problems])
    return plan


def _apart(raw: Iterable[dict[str, Any]]) -> list[Document]:
    """Return documents, no two of which are the same one."""
    found: dict[ObjectKey, Document] = {}
    for document in map(parse, raw):
        if document.key in found:
            raise Invalid(str(document), [Problem("", "stands twice; keep one")])
        found[document.key] = document
    return list(found.values())


def manifests(raw: Iterable[dict[str, Any]]) -> list[Manifest]:
    """Return everything that follows from documents, in the order in which it is made."""
    desired = Renderer().render(planned(world_of(with_own_gateways(_apart(raw)))))
    objects = (with_pod_defaults(obj, None) for obj in desired.objects.values())
    return in_order([*objects, *desired.slots.values()])
