"""Rules for tenants: their namespace and gateway, the hosts that they claim, the paths that they delegate. Pure."""

from collections.abc import Callable, Iterator

from istio_templates import names
from istio_templates.documents import ModelSpec, TenantSpec
from istio_templates.documents.fields import lies_in
from k8s_manager.admission.claim_index import ClaimIndex
from k8s_manager.admission.pod_template.formats import dns_1035_label, dns_label
from k8s_manager.admission.route_order import is_fallback
from k8s_manager.admission.rules import listener_rules, namespace_rules
from k8s_manager.admission.rules.rejection import Rejection, conflict, invalid
from k8s_manager.world.tenant import dedicated_namespace, namespace_of

Check = Callable[[str, TenantSpec, ClaimIndex], Iterator[Rejection]]
HostCheck = Callable[[str, TenantSpec, int, ClaimIndex], Iterator[Rejection]]


def check_tenant(name: str, spec: TenantSpec, index: ClaimIndex) -> Iterator[Rejection]:
    """Yield every reason against a tenant."""
    for check in CHECKS:
        yield from check(name, spec, index)
    for number in range(len(spec.hosts)):
        for check_host in HOST_CHECKS:
            yield from check_host(name, spec, number, index)


def _reserved_namespace(name: str, spec: TenantSpec, _index: ClaimIndex) -> Iterator[Rejection]:
    return namespace_rules.check_reserved(namespace_of(name, spec))


def _namespace_of_another(name: str, spec: TenantSpec, index: ClaimIndex) -> Iterator[Rejection]:
    namespace = namespace_of(name, spec)
    if gateways := index.gateways_in.get(namespace):
        message = f"namespace {namespace} belongs to gateway {min(gateways)}; choose another namespace"
        yield conflict("spec.namespace", message)
    if (owner := index.tenant_of.get(namespace)) and owner != name:
        message = f"namespace {namespace} belongs to tenant {owner}; choose another namespace"
        yield conflict("spec.namespace", message)


def _unusable_namespace(name: str, spec: TenantSpec, index: ClaimIndex) -> Iterator[Rejection]:
    namespace = namespace_of(name, spec)
    found = index.namespaces.get(namespace)
    if found and not namespace_rules.has_label(found, (names.TENANT, name)):
        yield namespace_rules.unmanaged(namespace, (names.TENANT, name))
    if found and found.leaving:
        yield conflict("spec.namespace", f"namespace {namespace} is being deleted; wait until it is gone")


def _changed_namespace(name: str, spec: TenantSpec, index: ClaimIndex) -> Iterator[Rejection]:
    namespace = namespace_of(name, spec)
    for other in index.labelled.get(name, ()):
        if other != namespace:
            message = (
                f"tenant {name} is in namespace {other}, and a tenant's namespace cannot be changed; set "
                f"spec.namespace back to {other}, or delete the tenant and create it again"
            )
            yield conflict("spec.namespace", message)


def _unusable_names(name: str, spec: TenantSpec, _index: ClaimIndex) -> Iterator[Rejection]:
    """Reject a name that the tenant's Gateway, or the Service and the namespace of its own gateway, cannot have."""
    own, message = names.own_gateway(name), None
    if spec.gateway.adopt is None and dns_label(own) is not None:
        message = f"the tenant's Gateway is called {own}, which is longer than Istio takes; use at most 56 characters"
    if spec.gateway.dedicated is not None:
        message = dns_1035_label(name) or dns_label(dedicated_namespace(name)) or message
    if message is not None:
        yield invalid("metadata.name", message)


def _unknown_gateway(_name: str, spec: TenantSpec, index: ClaimIndex) -> Iterator[Rejection]:
    chosen = spec.gateway.name
    if chosen is not None and chosen not in index.gateways:
        known = ", ".join(sorted(index.gateways)) or "none"
        yield invalid("spec.gateway.name", f"gateway {chosen!r} does not exist; choose one of: {known}")


def _adopted_gateway(name: str, spec: TenantSpec, index: ClaimIndex) -> Iterator[Rejection]:
    owner = index.adopted.get(index.adopted_gateway(spec) or ("", ""))
    if owner not in (None, name):
        message = f"Gateway {spec.gateway.adopt} is already adopted by tenant {owner}; name another, or remove adopt"
        yield conflict("spec.gateway.adopt", message)


def _probe_host(_name: str, spec: TenantSpec, number: int, _index: ClaimIndex) -> Iterator[Rejection]:
    host = spec.hosts[number].name
    if names.covers(host, names.PROBE_HOST):
        message = f"host {host} covers {names.PROBE_HOST}, which gateways use themselves; choose another host"
        yield invalid(f"spec.hosts[{number}].name", message)


def _delegation_to_itself(name: str, spec: TenantSpec, number: int, _index: ClaimIndex) -> Iterator[Rejection]:
    for at, delegation in enumerate(spec.hosts[number].delegations):
        if delegation.tenant == name:
            message = f"tenant {name} owns this host and needs no delegation; name another tenant, or remove the entry"
            yield invalid(f"spec.hosts[{number}].delegations[{at}].tenant", message)


def _delegation_of_served_paths(name: str, spec: TenantSpec, number: int, index: ClaimIndex) -> Iterator[Rejection]:
    claim = spec.hosts[number]
    for at, delegation in enumerate(claim.delegations):
        for model in index.models_in(namespace_of(name, spec)):
            if _overlaps(index.models[model], claim.name, delegation.path):
                message = (
                    f"path {delegation.path} is served by this tenant's model {model[1]}; move or delete that model's "
                    "route before delegating the path"
                )
                yield conflict(f"spec.hosts[{number}].delegations[{at}].path", message)


def _claimed_host(name: str, spec: TenantSpec, number: int, index: ClaimIndex) -> Iterator[Rejection]:
    host = spec.hosts[number].name
    for claim, owner in index.claims_against(host):
        if owner != name:
            message = f"host {host} is claimed by tenant {owner} ({claim}); choose another host, or ask its owner"
            yield conflict(f"spec.hosts[{number}].name", message)


def _listener(_name: str, spec: TenantSpec, number: int, index: ClaimIndex) -> Iterator[Rejection]:
    """Reject a host that no listener of the tenant's gateway can serve."""
    gateway, host = index.gateways.get(spec.gateway.name or ""), spec.hosts[number]
    if gateway is None:
        return
    plain = any(listener.protocol == "HTTP" for listener in gateway.listeners)
    own = any(listener.protocol == "HTTPS" and listener.domain is None for listener in gateway.listeners)
    domains = [listener.domain for listener in gateway.listeners if listener.domain]
    if host.tls is not None and not own:
        message = f"gateway {spec.gateway.name} has no HTTPS listener for certificates of tenants; remove tls"
        yield invalid(f"spec.hosts[{number}].tls", message)
    if host.tls is None and not plain and not any(names.under(host.name, domain) for domain in domains):
        message = (
            f"no listener of gateway {spec.gateway.name} serves host {host.name}; set tls, or use a host under "
            f"{', '.join(domains)}"
        )
        yield invalid(f"spec.hosts[{number}].name", message)


def _same_wildcard(_name: str, spec: TenantSpec, number: int, index: ClaimIndex) -> Iterator[Rejection]:
    """Reject a wildcard certificate of a tenant for what a listener of the same port serves already."""
    gateway, host = index.gateways.get(spec.gateway.name or ""), spec.hosts[number]
    if gateway is not None and host.tls and (listener := listener_rules.same_wildcard(gateway, host.name)):
        message = (
            f"listener {listener} of gateway {spec.gateway.name} serves {host.name} on the same port under another "
            "certificate, and Envoy cannot part the two; name single hosts, or remove tls"
        )
        yield conflict(f"spec.hosts[{number}].name", message)


def _overlaps(model: ModelSpec, claim: str, path: str) -> bool:
    """Tell whether a model has a route on the hosts of a claim that lies in a path or comes before it."""
    return any(
        names.covers(claim, route.host)
        and (lies_in(route.path, path) or (lies_in(path, route.path) and not is_fallback(route, model)))
        for route in model.routes
    )


CHECKS: tuple[Check, ...] = (
    _reserved_namespace,
    _namespace_of_another,
    _unusable_namespace,
    _changed_namespace,
    _unknown_gateway,
    _adopted_gateway,
    _unusable_names,
)
HOST_CHECKS: tuple[HostCheck, ...] = (
    _probe_host,
    _delegation_to_itself,
    _delegation_of_served_paths,
    _claimed_host,
    _listener,
    _same_wildcard,
)
