"""Rules for gateways: their namespace and the pods that they select. Pure."""

from collections.abc import Callable, Iterator, Set

from istio_templates import names
from istio_templates.documents import InferenceGatewaySpec
from k8s_manager.admission.claim_index import ClaimIndex
from k8s_manager.admission.pod_template.formats import dns_1035_label, port_name
from k8s_manager.admission.rules import listener_rules, namespace_rules
from k8s_manager.admission.rules.rejection import Rejection, conflict, invalid

Check = Callable[[str, InferenceGatewaySpec, ClaimIndex], Iterator[Rejection]]


def check_gateway(name: str, spec: InferenceGatewaySpec, index: ClaimIndex) -> Iterator[Rejection]:
    """Yield every reason against a gateway."""
    for check in CHECKS:
        yield from check(name, spec, index)


def _reserved_namespace(_name: str, spec: InferenceGatewaySpec, _index: ClaimIndex) -> Iterator[Rejection]:
    return namespace_rules.check_gateway_namespace(spec.namespace, spec.managed is not None)


def _namespace_of_a_tenant(_name: str, spec: InferenceGatewaySpec, index: ClaimIndex) -> Iterator[Rejection]:
    if owner := index.tenant_of.get(spec.namespace):
        message = f"namespace {spec.namespace} belongs to tenant {owner}; choose another namespace"
        yield conflict("spec.namespace", message)


def _unmanaged_namespace(name: str, spec: InferenceGatewaySpec, index: ClaimIndex) -> Iterator[Rejection]:
    label = (names.GATEWAY, name)
    found = index.namespaces.get(spec.namespace)
    if not spec.managed or found is None or found.labels.get(names.MANAGED_BY) == names.MANAGER:
        return
    if not namespace_rules.has_label(found, label):
        yield namespace_rules.unmanaged(spec.namespace, label)


def _overlapping_selector(name: str, spec: InferenceGatewaySpec, index: ClaimIndex) -> Iterator[Rejection]:
    for other in sorted(_neighbours(spec.namespace, index) - {name}):
        ours, theirs = spec.selector.items(), index.gateways[other].selector.items()
        if ours <= theirs or theirs <= ours:
            message = (
                f"the selector also matches the pods of gateway {other}; use a label that only this gateway's pods have"
            )
            yield conflict("spec.selector", message)


def _certificates_of_tenants(name: str, spec: InferenceGatewaySpec, index: ClaimIndex) -> Iterator[Rejection]:
    """Reject a domain for which a tenant of the gateway has a wildcard certificate of its own on the same port."""
    for tenant, claimed in sorted(index.tenants.items()):
        hosts = claimed.hosts if claimed.gateway.name == name else ()
        for host in hosts:
            if host.tls and (listener := listener_rules.same_wildcard(spec, host.name)):
                message = (
                    f"listener {listener} and tenant {tenant} both have a certificate for {host.name} on one port, and "
                    "Envoy cannot part the two; use another port, or remove tls from the tenant's host"
                )
                yield conflict("spec.listeners", message)


def _neighbours(namespace: str, index: ClaimIndex) -> Set[str]:
    """Return the gateways whose EnvoyFilters would reach the same pods if the labels are the same ones."""
    if namespace == namespace_rules.ISTIO:
        return index.gateways.keys()
    return index.gateways_in.get(namespace, set()) | index.gateways_in.get(namespace_rules.ISTIO, set())


def _unusable_names(name: str, spec: InferenceGatewaySpec, _index: ClaimIndex) -> Iterator[Rejection]:
    """Reject names that the Service and the pods of a managed gateway cannot have."""
    if spec.managed is None:
        return
    if (message := dns_1035_label(name)) is not None:
        yield invalid("metadata.name", message)
    for number, listener in enumerate(spec.listeners):
        if (message := port_name(listener.name)) is not None:
            yield invalid(f"spec.listeners[{number}].name", message)


CHECKS: tuple[Check, ...] = (
    _reserved_namespace,
    _namespace_of_a_tenant,
    _unmanaged_namespace,
    _overlapping_selector,
    _unusable_names,
    _certificates_of_tenants,
)
