"""Which override holds for a model, and what it makes of the limit.

One holds at a time, the strongest: the kill switch before a freeze before a figure; among those an operator's before
one of the tenant's own people; then the one that names its target more closely; then the one whose name comes first.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from fractions import Fraction
from typing import Literal

from ratelimiter.capacity import LimitBounds, VersionLoad, clamp
from ratelimiter.debounce import DebounceWindow, Rules
from ratelimiter.modes import Mode
from ratelimiter.target import Cap, Terms, Total

Action = Literal["freeze", "unlimited", "floor"]
AT_ONCE = Rules(DebounceWindow(0.0, 0.0), DebounceWindow(0.0, 0.0))
_STRENGTH = {"floor": 3, "unlimited": 2, "freeze": 1}


@dataclass(frozen=True, slots=True)
class OverrideScope:
    """The models that an override is for; an empty field matches all."""

    tenant: str = ""
    model: str = ""
    gateway: str = ""
    labels: frozenset[tuple[str, str]] = frozenset()

    def matches(self, terms: Terms, labels: Mapping[str, str]) -> bool:
        """Tell whether the scope covers a model."""
        return (
            self.tenant in ("", terms.tenant)
            and self.model in ("", terms.model)
            and (not self.gateway or self.gateway in terms.pools)
            and self.labels <= labels.items()
        )

    @property
    def closeness(self) -> int:
        """How closely it names its models."""
        return 8 * bool(self.model) + 4 * bool(self.labels) + 2 * bool(self.tenant) + bool(self.gateway)


@dataclass(frozen=True, slots=True)
class Override:
    """What is set in place of a limit; `range_` bounds the totals of one that a tenant's own people made."""

    name: str
    author: str
    reason: str
    expires: datetime
    target: OverrideScope
    per_replica: Fraction | None = None
    total: Fraction | None = None
    mode: Mode | None = None
    action: Action | None = None
    range_: LimitBounds | None = None

    @property
    def rank(self) -> tuple[int, bool, int]:
        """How strong it is against others."""
        return (_STRENGTH.get(self.action or "", 0), self.range_ is None, self.target.closeness)


def strongest(overrides: Iterable[Override], now: datetime) -> Override | None:
    """Return the one of a model's overrides that holds at `now`."""
    holding = sorted((o for o in overrides if now < o.expires), key=lambda o: o.name)
    return max(holding, key=lambda o: o.rank, default=None)


def overruled(overrides: Iterable[Override], now: datetime) -> tuple[Override, ...]:
    """Return those of a model's overrides that have not ended at `now` and are weaker than the one in force."""
    holding = [override for override in overrides if now < override.expires]
    first = strongest(holding, now)
    return tuple(sorted((o for o in holding if o is not first), key=lambda o: o.name))


def next_end(overrides: Iterable[Override], now: datetime) -> datetime | None:
    """Return when the next override ends."""
    return min((o.expires for o in overrides if now < o.expires), default=None)


def lifts(override: Override | None, terms: Terms) -> bool:
    """Tell whether a model has no limit: its document or an override says so."""
    return takes_away(override) or mode_under(override, terms) == "off"


def mode_under(override: Override | None, terms: Terms) -> Mode:
    """Return the mode in force: a document's, or that of an override."""
    return override.mode if override and override.mode else terms.mode


def takes_away(override: Override | None) -> bool:
    """Tell whether an override removes a limit."""
    return override is not None and (override.action == "unlimited" or override.mode == "off")


def loads_under(override: Override | None, loads: tuple[VersionLoad, ...]) -> tuple[VersionLoad, ...]:
    """Return what each version contributes."""
    if override is None or override.per_replica is None:
        return loads
    return tuple(replace(load, per_replica=override.per_replica, older=()) for load in loads)


def total_under(override: Override | None, terms: Terms, of_model: Total, held: Fraction | None) -> Total:
    """Return a model's limit before it is divided; `held` is the one in force. A model that is closed stays closed."""
    if override is None or (terms.version and not override.action):
        return of_model
    match override.action:
        case "freeze":
            return of_model if held is None else replace(of_model, value=held, reason="Frozen")
        case "floor":
            return replace(of_model, value=terms.bounds.floor, reason="Override")
    if override.total is not None:
        of_model = replace(of_model, value=override.total, reason="Override")
    elif override.per_replica is not None and of_model.reason == "Capacity":
        of_model = replace(of_model, reason="Override")
    elif override.per_replica is not None and (of_model.reason == "Floor" or of_model.reason == "Ceiling"):
        of_model = replace(of_model, cap=Cap(of_model.reason, of_model.capacity))
    return of_model if override.range_ is None else _within_range(of_model, override.range_)


def _within_range(of_model: Total, bounds: LimitBounds) -> Total:
    if of_model.value is None or (value := clamp(of_model.value, bounds)) == of_model.value:
        return of_model
    asked = of_model.cap.asked if of_model.cap else of_model.value
    return replace(of_model, value=value, cap=Cap("Range", asked))


def at_once(terms: Terms) -> Terms:
    """Return the terms of a model for the first write under an override: it does not wait for the debounce."""
    return replace(terms, rules=AT_ONCE)
