"""Rules for models: their warm-up, routes, ports, workloads and pods. Pure."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from istio_templates import names
from istio_templates.documents import ModelSpec
from istio_templates.documents.model import MODEL_CONTAINER, Version
from istio_templates.workloads.short_fields import differences
from k8s_manager.admission.claim_index import ClaimIndex
from k8s_manager.admission.pod_template import pod_security
from k8s_manager.admission.pod_template.formats import dns_1035_label
from k8s_manager.admission.route_order import Holder, match_of
from k8s_manager.admission.rules import warmup_rules
from k8s_manager.admission.rules.attachment_rules import check_attachment, check_name
from k8s_manager.admission.rules.check_job_rules import check_jobs
from k8s_manager.admission.rules.rejection import Rejection, conflict, invalid, not_found
from k8s_manager.admission.rules.route_rules import check_route
from k8s_manager.admission.rules.warmup_rules import PlanChecks
from k8s_manager.admission.rules.workload_rules import check_workload
from k8s_manager.world.labels import workload_labels

LONGEST_DEPLOYMENT = 52


@dataclass(frozen=True, slots=True)
class ModelClaim:
    """A model that asks to be accepted, and the tenant that owns its namespace."""

    key: Holder
    tenant: str
    spec: ModelSpec


Check = Callable[[ModelClaim, ClaimIndex], Iterator[Rejection]]


def check_model(key: Holder, spec: ModelSpec, index: ClaimIndex, plans: PlanChecks) -> Iterator[Rejection]:
    """Yield every reason against a model."""
    tenant = index.tenant_of.get(key[0])
    if tenant is None:
        message = f"namespace {key[0]} belongs to no tenant; create the Tenant first"
        yield not_found("metadata.namespace", message)
        return
    yield from warmup_rules.check_warmup(key, spec, index, plans)
    claim = ModelClaim(key, tenant, spec)
    for check in ATTACHED_CHECKS if spec.attach_to else CHECKS:
        yield from check(claim, index)


def _attachment(claim: ModelClaim, index: ClaimIndex) -> Iterator[Rejection]:
    assert claim.spec.attach_to is not None
    return check_attachment(claim.key, claim.tenant, claim.spec.attach_to, index)


def _limited_name(claim: ModelClaim, index: ClaimIndex) -> Iterator[Rejection]:
    return check_name(claim.key, index)


def _routes(claim: ModelClaim, index: ClaimIndex) -> Iterator[Rejection]:
    seen: set[tuple[object, str]] = set()
    for number, route in enumerate(claim.spec.routes):
        yield from check_route(claim.key, claim.tenant, claim.spec, number, index)
        place = (match_of(route), route.path)
        if place in seen:
            message = "this route repeats another one of the model; remove one of the two"
            yield invalid(f"spec.routes[{number}].path", message)
        seen.add(place)


def _ports(claim: ModelClaim, _index: ClaimIndex) -> Iterator[Rejection]:
    protocols: dict[int, str] = {}
    for number, route in enumerate(claim.spec.routes):
        first = protocols.setdefault(route.port, route.protocol)
        if first != route.protocol:
            message = f"port {route.port} has protocol {first} on another route; use one protocol for each port"
            yield invalid(f"spec.routes[{number}].protocol", message)


def _deployments(claim: ModelClaim, index: ClaimIndex) -> Iterator[Rejection]:
    namespace, model = claim.key
    for number, version in enumerate(claim.spec.versions):
        field, name = f"spec.versions[{number}].name", names.deployment(model, version.name)
        if len(name) > LONGEST_DEPLOYMENT:
            message = f"Deployment name {name} is too long; shorten it to {LONGEST_DEPLOYMENT} characters"
            yield invalid(field, message)
        holder = index.deployments.get((namespace, name), model)
        if version.workload and holder != model:
            yield conflict(field, f"Deployment {name} belongs to model {holder}; rename the version")


def _shared_label(claim: ModelClaim, _index: ClaimIndex) -> Iterator[Rejection]:
    """Reject versions without a common label: the model's Service has to select the pods of all of them."""
    model = claim.key[1]
    if not set.intersection(*(set(_labels(model, version)) for version in claim.spec.versions)):
        message = f"the pods of the versions have no label in common; give all of them one, such as app: {model}"
        yield invalid("spec.versions", message)


def _pods(claim: ModelClaim, index: ClaimIndex) -> Iterator[Rejection]:
    rules = index.tenants[claim.tenant].pods
    for number, version in enumerate(claim.spec.versions):
        if version.workload:
            for path, message in pod_security.violations(version.workload.pod_template, rules):
                yield invalid(f"spec.versions[{number}].workload.podTemplate.{path}", message)


def _jobs(claim: ModelClaim, index: ClaimIndex) -> Iterator[Rejection]:
    if claim.spec.rollout:
        yield from check_jobs(claim.spec.rollout, index.tenants[claim.tenant].pods)


def _kubernetes(claim: ModelClaim, _index: ClaimIndex) -> Iterator[Rejection]:
    """Reject what an API server would refuse in the rendered objects, after some of them have been made."""
    if (message := dns_1035_label(claim.key[1])) is not None:
        yield invalid("metadata.name", message)
    for number, version in enumerate(claim.spec.versions):
        if version.workload:
            path, with_agent = f"spec.versions[{number}].workload", claim.spec.warmup.how == "agent"
            yield from check_workload(path, version.workload, with_agent)


def _short_fields(claim: ModelClaim, _index: ClaimIndex) -> Iterator[Rejection]:
    """Reject what a workload's short fields and its podTemplate say differently: either could be the right one."""
    for number, version in enumerate(claim.spec.versions):
        workload, path = version.workload, f"spec.versions[{number}].workload"
        containers = workload.pod_template.get("spec", {}).get("containers", []) if workload else []
        for place, container in enumerate(containers):
            if workload is None or container["name"] != MODEL_CONTAINER:
                continue
            for here, there, about in differences(container, workload.short_fields()):
                other = f"{path}.podTemplate.spec.containers[{place}].{there}"
                message = f"and {other} disagree about {about}; give it in one of the two"
                yield invalid(f"{path}.{here}", message)


def _labels(model: str, version: Version) -> list[tuple[str, str]]:
    return list(version.existing.labels.items()) if version.existing else workload_labels(model, version.name)


CHECKS: tuple[Check, ...] = (
    _limited_name,
    _routes,
    _ports,
    _deployments,
    _shared_label,
    _pods,
    _jobs,
    _short_fields,
    _kubernetes,
)
ATTACHED_CHECKS: tuple[Check, ...] = (_attachment,)
