"""The limit that a model should have now, and why."""

from collections.abc import Mapping, Set
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Literal

from istio_templates.facts import Bucket, LimitKey
from ratelimiter.capacity import LimitBounds, VersionLoad, capacity, clamp
from ratelimiter.debounce import Rules
from ratelimiter.modes import Mode, PromotionCriteria
from ratelimiter.shares import share
from ratelimiter.slots import slot_of

Fallback = Literal["hold", "floor", "closed"]
Reason = Literal["Capacity", "Floor", "Ceiling", "TenantCeiling", "Cold", "Stale", "Override", "Frozen"]
CapSource = Literal["Floor", "Ceiling", "TenantCeiling", "Range"]


@dataclass(frozen=True, slots=True)
class Terms:
    """What a document says of a model's limit.

    `burst` is in seconds of a gateway pod's rate; `mode` off: there is no limit unless an override sets one; `ramp` is
    in seconds. `version`: the one whose own limit this is; empty for the whole model's. `restless`: another client than
    the document's author scales its replicas.
    """

    namespace: str
    model: str
    tenant: str
    identity: LimitKey
    pools: tuple[str, ...]
    bounds: LimitBounds
    burst: Fraction
    rules: Rules
    cold: Fallback
    stale: Fallback
    tenant_ceiling: Fraction | None = None
    weight: int | None = None
    mode: Mode = "enforce"
    ramp: float = 0.0
    verdict: PromotionCriteria | None = None
    version: str = ""
    restless: bool = False

    @property
    def place(self) -> tuple[str, str]:
        """Namespace and name of the model."""
        return self.namespace, self.model

    @property
    def slot(self) -> int:
        """The shared slot that holds the limit, unless it is pinned elsewhere."""
        return slot_of(self.namespace, self.model, self.restless)


@dataclass(frozen=True, slots=True)
class Cap:
    """What moved a limit from the figure that was `asked` for, in requests/s."""

    by: CapSource
    asked: Fraction


@dataclass(frozen=True, slots=True)
class Total:
    """Requests/s for a whole model; `value` None keeps what is in force. `cap` says what moved it last, if an override
    or a tenant's models together asked for another figure."""

    value: Fraction | None
    capacity: Fraction
    reason: Reason
    closed: bool = False
    cap: Cap | None = None

    @property
    def is_fallback(self) -> bool:
        """Tell whether it stands in for replicas that are not there or not known."""
        return self.reason in ("Cold", "Stale")


@dataclass(frozen=True, slots=True)
class PodTarget:
    """What each gateway pod should enforce; `bucket` None keeps what is in force."""

    total: Total
    gateways: int
    loads: tuple[VersionLoad, ...]
    bucket: Bucket | None


def total(terms: Terms, loads: tuple[VersionLoad, ...], fresh: bool, held: Fraction | None = None) -> Total:
    """Return a model's limit before it is divided. `fresh` says whether the replica counts can be trusted; `held` is
    the limit in force, which a fallback may keep, though never above the current ceiling."""
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


def target(
    terms: Terms,
    of_model: Total,
    loads: tuple[VersionLoad, ...],
    gateways: int,
    written: bool,
    enforced: int = 100,
) -> PodTarget:
    """Return the share of each of `gateways` pods, which is `enforced` for so many per cent of the requests.

    A model that never had a limit has nothing to hold: it starts at its floor. Without a gateway pod nothing
    is enforced and nothing changes.
    """
    value = of_model.value if of_model.value is not None or written else terms.bounds.floor
    if written and gateways == 0:
        value = None
    bucket = None if value is None else replace(share(value, max(gateways, 1), terms.burst), enforced=enforced)
    return PodTarget(of_model, gateways, loads, bucket)


def within_tenant_ceilings(totals: Mapping[LimitKey, tuple[Terms, Total]]) -> dict[LimitKey, Total]:
    """Return every model's limit, cut where a tenant's models together exceed its ceiling.

    Where none of them declares a weight, all are scaled down alike. Else each gets its share of the ceiling by weight
    (1 where it declares none); what one does not need goes to the others. What is frozen comes first: it stays what it
    is, and the others share the rest of the ceiling, or their floors where that is less.
    """
    out = {identity: of_model for identity, (_, of_model) in totals.items()}
    tenants: dict[str, dict[LimitKey, tuple[Terms, Fraction]]] = {}
    for identity, (terms, of_model) in totals.items():
        if terms.tenant_ceiling is not None and of_model.value is not None:
            tenants.setdefault(terms.tenant, {})[identity] = (terms, of_model.value)
    for models in tenants.values():
        frozen = {identity for identity in models if out[identity].reason == "Frozen"}
        for identity, value in _beside(models, frozen).items():
            if value != (asked := models[identity][1]):
                cap = Cap("TenantCeiling", asked)
                out[identity] = replace(out[identity], value=value, reason="TenantCeiling", cap=cap)
    return out


def _beside(models: Mapping[LimitKey, tuple[Terms, Fraction]], frozen: Set[LimitKey]) -> dict[LimitKey, Fraction]:
    """Return what each of one tenant's models gets of its ceiling, the frozen ones first."""
    ceiling = next(iter(models.values()))[0].tenant_ceiling
    assert ceiling is not None
    first = {identity: found for identity, found in models.items() if identity in frozen}
    others = {identity: found for identity, found in models.items() if identity not in frozen}
    if not first:
        return _within(others, ceiling)
    if not others:
        return _within(first, ceiling)
    held = _within(first, ceiling)
    floors = sum(min(terms.bounds.floor, value) for terms, value in others.values())
    return held | _within(others, max(ceiling - sum(held.values()), Fraction(floors)))


def _within(models: Mapping[LimitKey, tuple[Terms, Fraction]], ceiling: Fraction) -> dict[LimitKey, Fraction]:
    """Return what each of some models gets of a ceiling."""
    wanted = {identity: value for identity, (_, value) in models.items()}
    whole = sum(wanted.values())
    if whole <= ceiling:
        return wanted
    if all(terms.weight is None for terms, _ in models.values()):
        return {identity: value * ceiling / whole for identity, value in wanted.items()}
    return _by_weight(wanted, {identity: terms.weight or 1 for identity, (terms, _) in models.items()}, ceiling)


def _by_weight(
    wanted: Mapping[LimitKey, Fraction], weights: Mapping[LimitKey, int], ceiling: Fraction
) -> dict[LimitKey, Fraction]:
    """Share out `ceiling`: those that want less than their share get what they want, the rest is shared again."""
    out: dict[LimitKey, Fraction] = {}
    left, shares = ceiling, sum(weights.values())
    for identity in sorted(wanted, key=lambda i: (float(wanted[i] / weights[i]), wanted[i] / weights[i], i)):
        out[identity] = min(wanted[identity], left * weights[identity] / shares)
        left, shares = left - out[identity], shares - weights[identity]
    return out
