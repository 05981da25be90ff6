"""Overrides and what caps them, in words. Pure."""

from collections.abc import Sequence
from fractions import Fraction

from k8s_manager.runtime.sentences import named
from ratelimiter.overrides import Override
from ratelimiter.target import Cap, Terms

NAMED = 3
"""How many models a message names; the others are counted."""


def stronger_sentence(other: Override) -> str:
    """Return that another override goes before one."""
    return f"override {other.name} is stronger ({override_sentence(other)})"


def cap_sentence(terms: Terms, cap: Cap, value: Fraction) -> str:
    """Return what keeps a limit from the figure that was asked for."""
    bounds = terms.bounds
    what = {
        "Floor": f"the model's floor raises it to {number(bounds.floor)}/s",
        "Ceiling": f"the model's ceiling caps it at {number(value)}/s",
        "TenantCeiling": f"the ceiling of tenant {terms.tenant} "
        f"({number(terms.tenant_ceiling or value)}/s for all its models) caps it at {number(value)}/s",
        "Range": f"the range of tenant {terms.tenant} holds it to {number(value)}/s",
    }[cap.by]
    return f"{what}, not {number(cap.asked)}/s"


def override_sentence(override: Override) -> str:
    """Return what an override sets, by whom, until when, and why."""
    what = override.action or (f"mode {override.mode}" if override.mode else None)
    if override.total is not None:
        what = f"{number(override.total)}/s"
    elif override.per_replica is not None:
        what = f"{number(override.per_replica)}/s per replica"
    until = override.expires.isoformat(timespec="seconds")
    return f"{what} by {override.author} until {until}: {override.reason}"


def number(value: Fraction) -> int | float:
    """Return a figure for JSON: whole where it is whole, else to six digits."""
    return int(value) if value.denominator == 1 else round(float(value), 6)


def place_of(terms: Terms) -> str:
    """Return what a model is called."""
    return f"{terms.namespace}/{terms.model}"


def listed(places: Sequence[str]) -> str:
    """Return the first of some models, and how many more there are."""
    return named(places, NAMED)
