"""Rules for gateways: their namespace and the pods that they select. Pure."""

from collections.abc import Callable, Iterator

from istio_templates import names
from istio_templates.documents import InferenceGatewaySpec
from k8s_manager.admission.claim_index import ClaimIndex
from k8s_manager.admission.rules import namespace_rules
from k8s_manager.admission.rules.rejection import Rejection, conflict

Check = Callable[[str, InferenceGatewaySpec, ClaimIndex], Iterator[Rejection]]


def check_gateway(name: str, spec: InferenceGatewaySpec, index: ClaimIndex) -> Iterator[Rejection]:
    """Yield every reason against a gateway."""
    for check in CHECKS:
        yield from check(name, spec, index)


def _reserved_namespace(_name: str, spec: InferenceGatewaySpec, _index: ClaimIndex) -> Iterator[Rejection]:
    return namespace_rules.check_reserved(spec.namespace)


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
    for other in index.gateways_in.get(spec.namespace, set()) - {name}:
        ours, theirs = spec.selector.items(), index.gateways[other].selector.items()
        if ours <= theirs or theirs <= ours:
            message = (
                f"the selector also matches the pods of gateway {other}; use a label that only this gateway's pods have"
            )
            yield conflict("spec.selector", message)


CHECKS: tuple[Check, ...] = (_reserved_namespace, _namespace_of_a_tenant, _unmanaged_namespace, _overlapping_selector)
