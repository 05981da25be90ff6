"""Which limits stay as they are though no document asks for them now. Pure."""

from collections.abc import Iterable, Mapping, Set

from istio_templates import names
from istio_templates.facts import LimitKey, ObjectKey
from k8s_manager.pipeline.model_plan import identity_of
from k8s_manager.pipeline.plan import Plan
from ratelimiter.controller import Limits, Slot
from ratelimiter.slots import slot_of


def retained_keys(
    plan: Plan, lifted: Set[LimitKey], slots: Mapping[Slot, Limits], owned: Iterable[ObjectKey]
) -> frozenset[LimitKey]:
    """Return the keys whose limits stay: of models whose document is rejected, and of terminating ones, as long as a
    route points to them."""
    limited = plan.limits.keys() - lifted
    others = {key for limits in slots.values() for key, _ in limits if key.whole not in limited}
    if not others:
        return frozenset()
    routed = {names.identity(*key[1:]) for key in owned if key.kind == "VirtualService"}
    unlimited = {names.identity_of(model) for model in plan.models.values()}
    stay = _of_rejected(plan, slots) | (routed - unlimited)
    return frozenset(key for key in others if key.whole in stay)


def _of_rejected(plan: Plan, slots: Mapping[Slot, Limits]) -> set[LimitKey]:
    """Return the identities in the slots of models whose document is rejected. Which of them is theirs is not
    always known (a document may be unreadable), so all of their namespace stay that no other model has or gives up."""
    places = {
        (namespace, slot_of(namespace, name, restless))
        for namespace, name in plan.frozen_models
        for restless in (False, True)
    }
    if not places:
        return set()
    inside = {namespace for namespace, _ in places}
    given_up = {identity_of(leaving.stored) for leaving in plan.terminating if leaving.stored.key.kind == "Model"}
    found = {
        identity
        for (_, number), limits in slots.items()
        for identity in (key.whole for key, _ in limits)
        if (namespace := identity.place[0]) in inside and (number < names.PINNED_SLOTS or (namespace, number) in places)
    }
    return found - given_up - {names.identity_of(model) for model in plan.models.values()}
