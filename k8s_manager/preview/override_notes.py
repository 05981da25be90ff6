"""Notes on written overrides: which they replace, which are stronger, what caps them. Pure."""

from collections.abc import Collection, Iterable, Iterator
from datetime import datetime

from istio_templates.facts import ObjectKey
from k8s_manager.limits.override_text import listed, override_sentence, place_of, stronger_sentence
from k8s_manager.pipeline.plan import Plan
from k8s_manager.preview.forecast import ForecastShift
from ratelimiter.overrides import Override, lifts, mode_under, strongest


def override_notes(now: Plan, then: Plan, keys: Collection[ObjectKey], at: datetime) -> list[str]:
    """Return notes on the overrides `keys` once they are as in the plan `then` at `at`, and no longer as in `now`."""
    return [note for key in keys for note in _notes(now, then, key, at)]


def cap_notes(shifts: Iterable[ForecastShift], overrides: Collection[str]) -> list[str]:
    """Return what keeps limits from the figures that `overrides` ask for, by their names."""
    found: dict[str, list[str]] = {}
    for shift in shifts:
        first = shift.after.override
        if shift.after.cap and not shift.version and first and first.name in overrides and first.mode != "shadow":
            found.setdefault(shift.after.cap, []).append(f"{shift.namespace}/{shift.model}")
    return [f"{listed(places)}: {said}" for said, places in found.items()]


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
