"""What is to be said of written overrides: which they replace, which are stronger, what caps them. Pure."""

from collections.abc import Collection, Iterator, Mapping
from datetime import datetime
from fractions import Fraction

from istio_templates.facts import LimitKey, ObjectKey
from k8s_manager.limits.override_text import cap_sentence, listed, override_sentence, place_of, stronger_sentence
from k8s_manager.pipeline import facts
from k8s_manager.pipeline.model_plan import Limited
from k8s_manager.pipeline.plan import Plan
from k8s_manager.world.world import World
from ratelimiter.overrides import Override, lifts, loads_under, mode_under, strongest, total_under
from ratelimiter.target import Total, total, within_tenant_ceilings


def override_notes(now: Plan, then: Plan, world: World, keys: Collection[ObjectKey], at: datetime) -> list[str]:
    """Return what is to be said of the overrides `keys` once they are as in the plan `then` with its world at `at`, and
    no longer as in `now`."""
    if not keys:
        return []
    notes = [note for key in keys for note in _notes(now, then, key, at)]
    reached = {i for plan in (now, then) for key in keys for i in plan.override_matches.get(key, ())}
    tenants = {plan.limits[i].terms.tenant for plan in (now, then) for i in reached if i in plan.limits}
    return notes + _capped(then, _totals(then, world, tenants, at), keys, at)


def _notes(now: Plan, then: Plan, key: ObjectKey, at: datetime) -> Iterator[str]:
    """Yield what one override replaces, what goes before it, and what it goes before."""
    replaced, override = now.overrides.get(key), then.overrides.get(key)
    if override is None:
        return
    if replaced and replaced != override and at < replaced.expires:
        yield f"it replaces what override {replaced.name} sets now: {override_sentence(replaced)}"
    matches = then.override_matches.get(key, ())
    if not matches:
        yield "it matches no model that has a limit; check spec.target, and spec.rateLimit of the models"
    stronger: dict[Override, list[str]] = {}
    weaker: dict[Override, list[str]] = {}
    idle = []
    for identity in matches:
        limited = then.limits[identity]
        first, place = strongest(limited.overrides, at), place_of(limited.terms)
        if first and first.name != override.name:
            stronger.setdefault(first, []).append(place)
            continue
        if mode_under(override, limited.terms) == "off" and lifts(override, limited.terms):
            idle.append(place)
        others = [other for other in limited.overrides if other.name != override.name]
        if second := strongest(others, at):
            weaker.setdefault(second, []).append(place)
    for other, places in stronger.items():
        yield f"{listed(places)}: it will not be in force, as {stronger_sentence(other)}"
    for other, places in weaker.items():
        yield f"{listed(places)}: it goes before override {other.name} ({override_sentence(other)})"
    if idle and override.action is None and override.mode is None:
        yield f"{listed(idle)}: the model has no limit (rateLimit.mode off), so there is nothing to override"


def _capped(then: Plan, after: Mapping[LimitKey, Total | None], keys: Collection[ObjectKey], at: datetime) -> list[str]:
    """Return what keeps the limits of models from what the overrides `keys` set."""
    found: dict[str, list[str]] = {}
    names = {then.overrides[key].name for key in keys if key in then.overrides}
    for identity, of_model in after.items():
        limited = then.limits[identity]
        first = strongest(limited.overrides, at)
        if first and first.name in names and of_model and of_model.cap and of_model.value is not None:
            said = cap_sentence(limited.terms, of_model.cap, of_model.value)
            found.setdefault(said, []).append(place_of(limited.terms))
    return [f"{listed(places)}: {said}" for said, places in found.items()]


def _totals(plan: Plan, world: World, tenants: Collection[str], at: datetime) -> dict[LimitKey, Total | None]:
    """Return the limits of some tenants' models with the replicas that are ready now; None where nothing limits."""
    held = {stored.key: _held(stored.status) for stored in world.models}
    totals: dict[LimitKey, Total | None] = {}
    for identity, limited in plan.limits.items():
        if limited.terms.version or limited.terms.tenant not in tenants:
            continue
        override = strongest(limited.overrides, at)
        is_open = lifts(override, limited.terms) or (override is not None and override.mode == "shadow")
        key = ObjectKey("Model", limited.terms.namespace, limited.terms.model)
        totals[identity] = None if is_open else _total(limited, override, world, held.get(key))
    limiting = {i: (plan.limits[i].terms, found) for i, found in totals.items() if found}
    return {**totals, **within_tenant_ceilings(limiting)}


def _total(limited: Limited, override: Override | None, world: World, held: Fraction | None) -> Total:
    terms = limited.terms
    place = (terms.namespace, terms.model)
    ready = {version.name: world.ready.get((*place, version.name), 0) for version in limited.spec.versions}
    loads = loads_under(override, facts.loads(limited.spec, ready))
    return total_under(override, terms, total(terms, loads, True, held), held)


def _held(status: Mapping[str, object]) -> Fraction | None:
    """Return the limit in force, as a model's status says."""
    limit = status.get("limit")
    found = limit.get("total") if isinstance(limit, dict) else None
    return Fraction(str(found)) if isinstance(found, int | float) and found > 0 else None
