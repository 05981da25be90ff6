"""How far an override reaches: for how many models it is in force, which others are stronger, what caps it. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from k8s_manager.limits.limit_view import LimitFacts
from k8s_manager.limits.override_text import cap_sentence, listed, place_of, stronger_sentence
from ratelimiter.overrides import Override, takes_away

NAMED = 3
"""How many reasons a message gives; the others are counted."""


@dataclass(frozen=True, slots=True)
class OverrideReach:
    """Reach of an override: how many `models` it targets, for how many of them it is `in_force` or `overruled`, how
    many limits are `pending` and do not know it yet, and sentences about them."""

    models: int
    in_force: int
    overruled: int
    pending: int = 0
    sentences: tuple[str, ...] = ()


def reach_of(override: Override, found: Sequence[LimitFacts | None]) -> OverrideReach:
    """Return how far an override reaches, from the limits of the models that it is for."""
    stronger: dict[Override, list[str]] = {}
    said: dict[str, list[str]] = {}
    in_force = pending = 0
    for facts in found:
        if facts is None or facts.override is None or override not in (facts.override, *facts.overruled):
            pending += 1
            continue
        place = place_of(facts.wanted.terms)
        if facts.override != override:
            stronger.setdefault(facts.override, []).append(place)
            continue
        why, limits = _effect(override, facts)
        in_force += limits
        if why:
            said.setdefault(why, []).append(place)
    overruled = [f"{listed(places)}: {stronger_sentence(other)}" for other, places in stronger.items()]
    others = [f"{listed(places)}: {why}" for why, places in said.items()]
    sentences = tuple(_few([*overruled, *others]))
    return OverrideReach(len(found), in_force, sum(map(len, stronger.values())), pending, sentences)


def _effect(override: Override, facts: LimitFacts) -> tuple[str, bool]:
    """Return a sentence about an override's effect on one model, and whether it has one there."""
    if facts.holders is not None and not takes_away(override):
        return "no limit is enforced, as no pinned slot is free for mode shadow or ramp", False
    if facts.lifted and not takes_away(override):
        return "the model has no limit (rateLimit.mode off), so there is nothing to override; use mode enforce", False
    if facts.stage is not None and facts.stage.enforced == 0 and override.mode != "shadow":
        return "the model is in shadow, so no request is rejected", True
    total = facts.wanted.target.total
    if total.cap and total.value is not None:
        return cap_sentence(facts.wanted.terms, total.cap, total.value), True
    return "", True


def _few(sentences: Sequence[str]) -> Iterator[str]:
    yield from sentences[:NAMED]
    if (rest := len(sentences) - NAMED) > 0:
        yield f"{rest} more models, or kinds of models, are limited differently"
