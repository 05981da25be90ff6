"""Plan of overrides: which are in effect for which limits. Pure."""

from collections.abc import Mapping
from functools import partial

from istio_templates.facts import LimitKey, ObjectKey
from k8s_manager.admission.rules import override_rules
from k8s_manager.pipeline.model_plan import Limited, identity_of
from k8s_manager.pipeline.plan_inputs import PlanInputs
from k8s_manager.runtime.memo import Memo
from k8s_manager.world.tenant import namespace_of
from ratelimiter.overrides import Override


def plan_overrides(inputs: PlanInputs, memo: Memo) -> dict[ObjectKey, Override]:
    """Return the overrides of accepted documents, each within what its owner may set."""
    owners = {}
    for tenant in inputs.tenants:
        if spec := inputs.accepted(tenant):
            limit = spec.rate_limit
            owners[namespace_of(tenant.key.name, spec)] = (tenant.key.name, limit.range if limit else None)
    found = {}
    for stored in inputs.overrides:
        document = inputs.accepted(stored)
        if document and not stored.deleting:
            owner = owners.get(stored.key.namespace)
            make = partial(override_rules.override, stored.key, document, owner)
            if made := memo.get(stored.key, (document, owner), make):
                found[stored.key] = made
    return found


def match_overrides(
    inputs: PlanInputs, limits: Mapping[LimitKey, Limited], overrides: Mapping[ObjectKey, Override], memo: Memo
) -> tuple[Mapping[LimitKey, Limited], Mapping[ObjectKey, tuple[LimitKey, ...]]]:
    """Return the limits with the overrides that match them, and the models that each override is for."""
    matches: dict[ObjectKey, list[LimitKey]] = {}
    if not overrides:
        return limits, {}
    labels = {identity_of(stored): stored.labels for stored in inputs.models if inputs.admission[stored.key].accepted}
    out = dict(limits)
    for identity, limited in limits.items():
        of_model = labels.get(identity.whole, {})
        keys = [key for key, override in overrides.items() if override.target.matches(limited.terms, of_model)]
        for key in keys if not limited.terms.version else ():
            matches.setdefault(key, []).append(identity)
        if keys:
            found = tuple(overrides[key] for key in keys)
            make = partial(Limited, limited.terms, limited.spec, found)
            out[identity] = memo.get(("overridden", identity), (limited, found), make)
    return out, {key: tuple(found) for key, found in matches.items()}
