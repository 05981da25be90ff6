"""Who may have what: hosts, paths, namespaces and pods that only one document can hold.

Each check is a pure function from a document and the fleet (all documents that hold something) to refusals. The
REST API asks them before it writes, the loop asks them of what came by kubectl: one answer for both.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from istio_templates import names
from istio_templates.documents import (
    AccessGrantSpec,
    Document,
    InferenceGatewaySpec,
    LimitOverrideSpec,
    ModelSpec,
    TenantSpec,
    WarmupPlanSpec,
)
from istio_templates.documents.fields import lies_in
from istio_templates.documents.model import Route, Version
from istio_templates.documents.tenant import PodRules
from istio_templates.errors import Problem
from k8s_manager.admission import override_rules, pod_security, warmup_rules
from k8s_manager.admission.claim_index import ClaimIndex, Holder, place_of
from k8s_manager.world.labels import workload_labels
from k8s_manager.world.tenant import dedicated_namespace, gateway_name, namespace_of
from k8s_manager.world.world import Foreign, NamespaceState

RESERVED = ("default", "kube-system", "kube-public", "kube-node-lease", "istio-system", "tidegate-system")
Reason = Literal["Invalid", "Conflict", "NotFound"]


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why a document cannot hold what it asks for: the author's mistake, or another owner's right."""

    reason: Reason
    problem: Problem


def refusals(document: Document, fleet: ClaimIndex) -> list[Rejection]:
    """Return all reasons against a document. What it holds itself, in this form or an older one, is none."""
    match document.spec:
        case InferenceGatewaySpec() as spec:
            return list(_gateway(document.name, spec, fleet))
        case TenantSpec() as spec:
            return list(_tenant(document.name, spec, fleet))
        case ModelSpec() as spec:
            return list(_model(document, spec, fleet))
        case LimitOverrideSpec() as spec:
            return list(_override(document, spec, fleet))
        case WarmupPlanSpec() as spec:
            return [
                _refused(wrong) for wrong in warmup_rules.wrong_in_plan(document.namespace or "", spec, fleet.files)
            ]
        case AccessGrantSpec():
            return []


def _refused(wrong: warmup_rules.WarmupProblem) -> Rejection:
    return Rejection("NotFound" if wrong.absent else "Invalid", wrong.problem)


def _override(document: Document, spec: LimitOverrideSpec, fleet: ClaimIndex) -> Iterator[Rejection]:
    for absent, problem in override_rules.wrong(document.namespace or "", spec, fleet):
        yield Rejection("NotFound" if absent else "Invalid", problem)


def _gateway(name: str, spec: InferenceGatewaySpec, fleet: ClaimIndex) -> Iterator[Rejection]:
    yield from _reserved(spec.namespace)
    if owner := fleet.tenant_of.get(spec.namespace):
        yield _conflict("spec.namespace", f"{spec.namespace} belongs to tenant {owner}; choose another namespace")
    label = (names.GATEWAY, name)
    seen = fleet.namespaces.get(spec.namespace)
    if spec.managed and seen and seen.labels.get(names.MANAGED_BY) != names.MANAGER and not _labelled(seen, label):
        yield _foreign(spec.namespace, label)
    for other in fleet.gateways_in.get(spec.namespace, set()) - {name}:
        ours, theirs = spec.selector.items(), fleet.gateways[other].selector.items()
        if ours <= theirs or theirs <= ours:
            yield _conflict("spec.selector", f"selects the pods of gateway {other}; give its pods another label")


def _tenant(name: str, spec: TenantSpec, fleet: ClaimIndex) -> Iterator[Rejection]:
    namespace = namespace_of(name, spec)
    yield from _reserved(namespace)
    if fleet.gateways_in.get(namespace):
        yield _conflict("spec.namespace", f"{namespace} is a gateway's namespace; choose another")
    if (owner := fleet.tenant_of.get(namespace)) and owner != name:
        yield _conflict("spec.namespace", f"{namespace} belongs to tenant {owner}; choose another")
    seen = fleet.namespaces.get(namespace)
    if seen and not _labelled(seen, (names.TENANT, name)):
        yield _foreign(namespace, (names.TENANT, name))
    if seen and seen.leaving:
        yield _conflict("spec.namespace", f"{namespace} is being deleted; wait until it is gone")
    for other, label in fleet.namespaces.items():
        if other != namespace and not label.leaving and _labelled(label, (names.TENANT, name)):
            message = f"the tenant lives in {other}; a namespace cannot be changed: delete the tenant and make it anew"
            yield _conflict("spec.namespace", message)
    yield from _gateway_choice(name, spec, fleet)
    for number, host in enumerate(spec.hosts):
        yield from _host(name, spec, number, host.name, fleet)


def _gateway_choice(name: str, spec: TenantSpec, fleet: ClaimIndex) -> Iterator[Rejection]:
    chosen = spec.gateway.name
    if chosen is not None and chosen not in fleet.gateways:
        there = ", ".join(sorted(fleet.gateways)) or "none yet"
        yield _invalid("spec.gateway.name", f"there is no gateway {chosen!r}; gateways are: {there}")
    owner = fleet.adopted.get(fleet.adopts(spec) or ("", ""))
    if owner not in (None, name):
        message = f"Gateway {spec.gateway.adopt} is adopted by tenant {owner}; name another, or leave adopt out"
        yield _conflict("spec.gateway.adopt", message)


def _host(name: str, spec: TenantSpec, number: int, host: str, fleet: ClaimIndex) -> Iterator[Rejection]:
    field_path = f"spec.hosts[{number}].name"
    if names.covers(host, names.PROBE_HOST):
        yield _invalid(field_path, f"{host} is the gateway's own; choose another host")
    yield from _lent(name, spec, number, fleet)
    for claim, owner in fleet.claims_against(host):
        if owner != name:
            yield _conflict(
                field_path, f"{host} is claimed by tenant {owner} ({claim}); choose another host or ask its owner"
            )
    gateway = fleet.gateways.get(spec.gateway.name or "")
    if gateway is None:
        return
    tls = spec.hosts[number].tls
    plain = any(listener.protocol == "HTTP" for listener in gateway.listeners)
    own = any(listener.protocol == "HTTPS" and listener.domain is None for listener in gateway.listeners)
    domains = [listener.domain for listener in gateway.listeners if listener.domain]
    if tls is not None and not own:
        message = f"gateway {spec.gateway.name} has no HTTPS listener for certificates of tenants; leave tls out"
        yield _invalid(f"spec.hosts[{number}].tls", message)
    if tls is None and not plain and not any(names.under(host, domain) for domain in domains):
        yield _invalid(
            field_path,
            f"no listener of gateway {spec.gateway.name} serves it; give tls or a host under {', '.join(domains)}",
        )


def _lent(name: str, spec: TenantSpec, number: int, fleet: ClaimIndex) -> Iterator[Rejection]:
    """Yield what speaks against lending paths of a host: to oneself, or of what a tenant's own models serve."""
    claim = spec.hosts[number]
    for at, delegation in enumerate(claim.delegations):
        if delegation.tenant == name:
            message = f"{name} owns the host and needs no leave; name another tenant, or leave it out"
            yield _invalid(f"spec.hosts[{number}].delegations[{at}].tenant", message)
    for at, delegation in enumerate(claim.delegations):
        for model in fleet.models_in(namespace_of(name, spec)):
            if _overlaps(fleet.models[model], claim.name, delegation.path):
                said = f"{delegation.path} is served by this tenant's model {model[1]}; change that model first"
                yield _conflict(f"spec.hosts[{number}].delegations[{at}].path", said)


def _overlaps(model: ModelSpec, claim: str, path: str) -> bool:
    """Tell whether a model has a route on the hosts of a claim that lies in a path or comes before it."""
    return any(
        names.covers(claim, route.host)
        and (lies_in(route.path, path) or (lies_in(path, route.path) and not _stands_behind(route, model)))
        for route in model.routes
    )


def _stands_behind(route: Route, model: ModelSpec) -> bool:
    """Tell whether a proxy tries a route after all others of its host: a bare `/` that matches nothing else."""
    return route.path == "/" and not route.headers and len({other.host for other in model.routes}) == 1


def _model(document: Document, spec: ModelSpec, fleet: ClaimIndex) -> Iterator[Rejection]:
    key = (document.namespace or "", document.name)
    tenant = fleet.tenant_of.get(key[0])
    if tenant is None:
        message = f"namespace {key[0]} belongs to no tenant; make the Tenant first"
        yield Rejection("NotFound", Problem("metadata.namespace", message))
        return
    yield from map(_refused, warmup_rules.wrong_in_model(key, spec, fleet.warmup_plans, fleet.files, fleet.ungated))
    if spec.attach_to:
        yield from _attached(key, tenant, spec.attach_to.virtual_service, fleet)
        return
    if (holder := fleet.attached.get(key, key[1])) != key[1]:
        message = f"VirtualService {key[1]} is limited by model {holder}; choose another name"
        yield _conflict("metadata.name", message)
    seen: set[tuple[object, str]] = set()
    for number, route in enumerate(spec.routes):
        yield from _route(key, tenant, number, spec, fleet)
        if (place_of(route), route.path) in seen:
            yield _invalid(f"spec.routes[{number}].path", "another route of this model is the same; leave one out")
        seen.add((place_of(route), route.path))
    yield from _ports(spec)
    yield from _workloads(key, spec, fleet)
    yield from _pods(spec, fleet.tenants[tenant].pods)


def _attached(key: Holder, tenant: str, name: str, fleet: ClaimIndex) -> Iterator[Rejection]:
    """Yield what speaks against limiting a VirtualService of somebody else."""
    field_path, place = "spec.attachTo.virtualService", (key[0], name)
    holder = fleet.attached.get(place, key[1])
    if holder != key[1]:
        yield _conflict(field_path, f"{name} is limited by model {holder}; one VirtualService has one limit")
    own = fleet.models.get(place)
    if own and place != key and not own.attach_to:
        yield _conflict(field_path, f"{name} is what Tidegate renders for model {name}; set the limit there")
    elif fleet.foreign is not None and place not in fleet.foreign:
        message = f"there is no VirtualService {name} in namespace {key[0]}; make it first"
        yield Rejection("NotFound", Problem(field_path, message))
    elif fleet.foreign is not None:
        yield from _reached(field_path, place, fleet.foreign[place], tenant, fleet)


def _reached(field_path: str, place: Holder, found: Foreign, tenant: str, fleet: ClaimIndex) -> Iterator[Rejection]:
    """Yield what keeps a VirtualService from all gateways that serve the tenant; while it moves, one is enough."""
    wanted = gateway_name(tenant, fleet.tenants[tenant])
    bound = fleet.bindings.get(tenant)
    there = {name: fleet.gateways[name].namespace for name in bound.gateways if name in fleet.gateways} if bound else {}
    namespaces = there or {wanted: dedicated_namespace(tenant)}
    spaces = sorted(set(namespaces.values()))
    exported = [n for n in spaces if {"*", n} & set(found.export_to) or ("." in found.export_to and n == place[0])]
    if not exported:
        message = f"{place[1]} is not exported to the gateway's namespace; add {spaces[0]} to its exportTo"
        yield _invalid(field_path, message)
    reached = {(name if "/" in name else f"{place[0]}/{name}").partition("/")[0] for name in found.gateways}
    if reached.isdisjoint(spaces):
        listed = ", ".join(found.gateways) or "none"
        message = f"{place[1]} is not reached through gateway {wanted} (namespace {spaces[0]}); its gateways: {listed}"
        yield _invalid(field_path, message)


def _route(key: Holder, tenant: str, number: int, spec: ModelSpec, fleet: ClaimIndex) -> Iterator[Rejection]:
    route = spec.routes[number]
    barred = list(_barred(tenant, f"spec.routes[{number}]", route, spec, fleet))
    if barred:
        yield from barred
        return
    for path, holder in fleet.paths_against(route):
        if holder == key:
            continue
        taken = f"path {route.path} is taken by"
        if fleet.tenant_of.get(holder[0]) != tenant:
            message = f"{taken} a model of another tenant; choose another path, or ask whoever shares the host"
        else:
            message = f"{taken} {'/'.join(holder)} ({path}); choose another path or delete that model"
        yield _conflict(f"spec.routes[{number}].path", message)


def _barred(tenant: str, field_path: str, route: Route, spec: ModelSpec, fleet: ClaimIndex) -> Iterator[Rejection]:
    """Yield why a tenant may not serve a path of a host, if it may not."""
    owner, guest = fleet.owner(route.host), fleet.guest(route.host, route.path)
    if owner is None:
        yield _invalid(
            f"{field_path}.host", f"{route.host} is no host of tenant {tenant}; add it to the tenant's hosts"
        )
    elif tenant not in (owner, guest[1] if guest else owner):
        # Whose it is, and which paths are taken there, is not this tenant's to know.
        message = f"{route.host} belongs to another tenant; use a host of {tenant}"
        yield _conflict(f"{field_path}.host", message)
    elif guest is None:
        within = [] if _stands_behind(route, spec) else list(fleet.lent_within(route.host, route.path))
        for path, other in within:
            message = f"{route.path} contains {path}, which is delegated to tenant {other}; use another path"
            yield _conflict(f"{field_path}.path", message)
    elif tenant != guest[1]:
        message = f"{guest[0]} of {route.host} is delegated to tenant {guest[1]}; use another path, or take it back"
        yield _conflict(f"{field_path}.path", message)


def _ports(spec: ModelSpec) -> Iterator[Rejection]:
    protocols: dict[int, str] = {}
    for number, route in enumerate(spec.routes):
        if protocols.setdefault(route.port, route.protocol) != route.protocol:
            message = f"port {route.port} speaks {protocols[route.port]} on another route; one port has one protocol"
            yield _invalid(f"spec.routes[{number}].protocol", message)


def _workloads(key: tuple[str, str], spec: ModelSpec, fleet: ClaimIndex) -> Iterator[Rejection]:
    for number, version in enumerate(spec.versions):
        name = names.deployment(key[1], version.name)
        if len(name) > 52:
            yield _invalid(
                f"spec.versions[{number}].name", f"{name} is too long for a Deployment; at most 52 characters"
            )
        holder = fleet.deployments.get((key[0], name), key[1])
        if version.workload and holder != key[1]:
            yield _conflict(f"spec.versions[{number}].name", f"Deployment {name} belongs to model {holder}; rename it")
    labels = [set(_labels(key[1], version)) for version in spec.versions]
    if not set.intersection(*labels):
        message = f"the versions share no label; give all their pods one, such as app: {key[1]}"
        yield _invalid("spec.versions", message)


def _pods(spec: ModelSpec, rules: PodRules) -> Iterator[Rejection]:
    for number, version in enumerate(spec.versions):
        for path, said in pod_security.broken(version.workload.pod_template, rules) if version.workload else ():
            yield _invalid(f"spec.versions[{number}].workload.podTemplate.{path}", said)


def _labels(model: str, version: Version) -> list[tuple[str, str]]:
    return list(version.existing.labels.items()) if version.existing else workload_labels(model, version.name)


def _reserved(namespace: str) -> Iterator[Rejection]:
    if namespace in RESERVED or namespace.startswith("kube-"):
        yield _invalid("spec.namespace", f"{namespace} belongs to the cluster; choose another")


def _labelled(seen: NamespaceState, label: tuple[str, str]) -> bool:
    return seen.labels.get(label[0]) == label[1]


def _foreign(namespace: str, label: tuple[str, str]) -> Rejection:
    message = f"{namespace} exists and is not ours; choose another, or label it {label[0]}={label[1]} to hand it over"
    return _conflict("spec.namespace", message)


def _invalid(path: str, message: str) -> Rejection:
    return Rejection("Invalid", Problem(path, message))


def _conflict(path: str, message: str) -> Rejection:
    return Rejection("Conflict", Problem(path, message))
