"""Status of a Caller: which models it may call, or why none; and of models that no gateway can guard. Pure."""

from bisect import bisect_left
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from istio_templates.callers.access_facts import CallerFacts, TenantAccess
from istio_templates.documents import CallerSpec, ModelSpec
from istio_templates.facts import Manifest
from k8s_manager.status.document_status import DocumentInputs, accepted, complete
from k8s_manager.world.condition import Condition
from k8s_manager.world.world import Stored

MOST_NAMED = 10


class CallerInputs(NamedTuple):
    """What the status of a caller is made from: its facts (None: its tenant has no authentication), to how many models
    it comes, and those that it names and that do not exist."""

    spec: CallerSpec
    caller: CallerFacts | None = None
    reached: int = 0
    missing: tuple[str, ...] = ()


class GuardedTenant(NamedTuple):
    """What gateways enforce of a tenant, and the names of the models that they guard."""

    access: TenantAccess
    models: frozenset[str]


def guarded_tenants(access: Mapping[str, TenantAccess]) -> dict[str, GuardedTenant]:
    """Return the tenants with authentication, by namespace."""
    return {one.namespace: GuardedTenant(one, frozenset(dict(one.models))) for one in access.values()}


def caller_inputs(stored: Stored, spec: CallerSpec, tenant: GuardedTenant | None) -> CallerInputs:
    """Return the inputs; `tenant` is the one whose namespace it is in, where that has authentication."""
    callers, names = (tenant.access.authentication.callers, tenant.models) if tenant else ((), frozenset())
    place = bisect_left(callers, stored.key.name, key=lambda caller: caller.name)
    if place == len(callers) or callers[place].name != stored.key.name:
        return CallerInputs(spec)
    caller = callers[place]
    reached = len(names if caller.models is None else names & caller.models)
    return CallerInputs(spec, caller, reached, tuple(name for name in spec.models or () if name not in names))


def caller_status(stored: Stored, document: DocumentInputs, inputs: CallerInputs) -> Manifest:
    """Return the status of a caller."""
    conditions = [accepted(document.admission)]
    if not document.admission.accepted:
        return complete(stored, {}, conditions)
    if inputs.caller is None:
        said = (
            "its tenant has no spec.authentication, so anyone may call its models; add that to let gateways ask who "
            "calls"
        )
        return complete(stored, {}, [*conditions, Condition("Active", False, "NoAuthentication", said)])
    caller, reached = inputs.caller, inputs.reached
    body = {"models": 0 if caller.refused else reached, "revoked": len(caller.revoked)}
    conditions += [_active(inputs.spec, caller, reached), *_resolved(inputs.spec, inputs.missing)]
    return complete(stored, body, conditions)


def _active(spec: CallerSpec, caller: CallerFacts, reached: int) -> Condition:
    if caller.refused == "suspended":
        return Condition(
            "Active", False, "Suspended", "it may call no model; tidegate caller resume lets it call again"
        )
    if caller.refused:
        said = f"it has expired at {spec.expires}; set a later spec.expires to let it call again"
        return Condition("Active", False, "Expired", said)
    if not reached:
        said = "none of the models that it may call is there; correct spec.models or spec.modelLabels, or create one"
        return Condition("Active", False, "NoModel", said)
    until = f" until {spec.expires}" if spec.expires else ""
    return Condition("Active", True, "Active", f"it may call {reached} model{'s' * (reached != 1)}{until}")


def _resolved(spec: CallerSpec, missing: tuple[str, ...]) -> Iterator[Condition]:
    """Yield whether all models that a caller names exist."""
    if spec.models is None:
        return
    if missing:
        more = f" and {len(missing) - MOST_NAMED} more" if len(missing) > MOST_NAMED else ""
        said = f"there is no model {', '.join(missing[:MOST_NAMED])}{more}; correct spec.models, or create the model"
        yield Condition("ResolvedRefs", False, "ModelNotFound", said)
    else:
        yield Condition("ResolvedRefs", True, "ResolvedRefs", "all models that it names exist")


def is_unguarded(spec: ModelSpec, tenant: GuardedTenant | None) -> bool:
    """Tell whether a tenant asks who calls a model, and no gateway can."""
    attached = spec.attach_to is not None and spec.attach_to.http_route is not None
    return tenant is not None and attached and spec.access != "public"


def guarding(spec: ModelSpec) -> Condition:
    """Return the condition of a model that no gateway can guard."""
    assert spec.attach_to is not None
    said = (
        f"requests to {spec.attach_to} are not asked for a caller: gateways tell only routes of VirtualServices apart; "
        "give the model routes, attach it to a VirtualService, or say access: public if anyone may call it"
    )
    return Condition("CallersChecked", False, "HttpRoute", said)
