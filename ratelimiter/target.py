"""The limit that a model should have now, and why."""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from istio_templates.facts import Bucket
from ratelimiter.capacity import Bounds, VersionLoad, capacity, clamp
from ratelimiter.debounce import Rules
from ratelimiter.shares import share

Fallback = Literal["hold", "floor", "closed"]
Reason = Literal["Capacity", "Floor", "Ceiling", "TenantCeiling", "Cold", "Stale", "Override", "Frozen"]


@dataclass(frozen=True, slots=True)
class Terms:
    """What a document says of a model's limit.

    `burst` is in seconds of a gateway pod's rate; `off`: there is no limit unless somebody overrides that.
    """

    namespace: str
    model: str
    tenant: str
    identity: str
    pools: tuple[str, ...]
    bounds: Bounds
    burst: Fraction
    rules: Rules
    cold: Fallback
    stale: Fallback
    tenant_ceiling: Fraction | None = None
    off: bool = False


@dataclass(frozen=True, slots=True)
class Total:
    """Requests/s for a whole model; `value` None holds what is in force."""

    value: Fraction | None
    capacity: Fraction
    reason: Reason
    closed: bool = False


@dataclass(frozen=True, slots=True)
class Target:
    """What each gateway pod should enforce; `bucket` None holds what is in force."""

    total: Total
    gateways: int
    loads: tuple[VersionLoad, ...]
    bucket: Bucket | None


def total(terms: Terms, loads: tuple[VersionLoad, ...], fresh: bool, held: Fraction | None = None) -> Total:
    """Return a model's limit before it is divided. `fresh` says whether the replica counts can be trusted; `held` is
    the limit in force, which a fallback may hold, though never above the ceiling of today."""
    served = capacity(loads)
    if not fresh:
        return _fallback(terms, terms.stale, served, "Stale", held)
    if not any(load.replicas for load in loads if load.share > 0):
        return _fallback(terms, terms.cold, served, "Cold", held)
    value = clamp(served, terms.bounds)
    reason: Reason = "Capacity" if value == served else "Floor" if value > served else "Ceiling"
    return Total(value, served, reason)


def _fallback(terms: Terms, choice: Fallback, served: Fraction, reason: Reason, held: Fraction | None) -> Total:
    value = terms.bounds.floor
    if choice == "hold" and held is not None:
        value = held if terms.bounds.ceiling is None else min(held, terms.bounds.ceiling)
    elif choice == "hold":
        return Total(None, served, reason)
    return Total(value, served, reason, closed=choice == "closed")


def target(terms: Terms, of_model: Total, loads: tuple[VersionLoad, ...], gateways: int, written: bool) -> Target:
    """Return the share of each of `gateways` pods.

    A model that never had a limit has nothing to hold: it starts at its floor. Without a gateway pod nothing
    is enforced and nothing changes.
    """
    value = of_model.value if of_model.value is not None or written else terms.bounds.floor
    if written and gateways == 0:
        value = None
    bucket = None if value is None else share(value, max(gateways, 1), terms.burst)
    return Target(of_model, gateways, loads, bucket)


def within_tenant_ceilings(totals: Mapping[str, tuple[Terms, Total]]) -> dict[str, Total]:
    """Return every model's limit, scaled down alike where a tenant's models together exceed its ceiling."""
    sums: dict[str, Fraction] = {}
    for terms, of_model in totals.values():
        if terms.tenant_ceiling is not None and of_model.value is not None:
            sums[terms.tenant] = sums.get(terms.tenant, Fraction(0)) + of_model.value
    if not sums:
        return {identity: of_model for identity, (_, of_model) in totals.items()}
    return {identity: _scaled(terms, of_model, sums) for identity, (terms, of_model) in totals.items()}


def _scaled(terms: Terms, of_model: Total, sums: Mapping[str, Fraction]) -> Total:
    ceiling = terms.tenant_ceiling
    whole = sums.get(terms.tenant)
    if ceiling is None or of_model.value is None or whole is None or whole <= ceiling:
        return of_model
    return Total(of_model.value * ceiling / whole, of_model.capacity, "TenantCeiling", of_model.closed)
