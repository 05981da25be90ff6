"""Forecast of limits: what gateway pods will enforce under another plan, once every debounce has passed.

A copy of the limit loop's observer reads the same store under both plans, so that a forecast is what then happens: also
how far a ramp had come that rests under an override. It writes nothing, and nothing of what it read is remembered.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Protocol

from istio_templates.facts import Bucket, LimitKey
from k8s_manager.limits.observer import LimitObserver, ObservedLimits
from k8s_manager.limits.override_text import cap_sentence
from k8s_manager.limits.stages import Evidences, live_bucket
from k8s_manager.pipeline.figures import Figures
from k8s_manager.pipeline.plan import Plan
from ratelimiter.controller import Limits, LimitState, LimitTarget, Slot
from ratelimiter.evidence import HOUR
from ratelimiter.modes import Evidence
from ratelimiter.overrides import Override
from ratelimiter.target import Terms


class ShadowEvidence(Protocol):
    """What gateway pods have counted of limits in shadow or ramp."""

    version: int

    def evidence(self, identity: LimitKey, over: float = HOUR) -> Evidence | None:
        """Return what was counted of a model in the last seconds."""


class _KeptCounts:
    """ShadowEvidence of which a forecast forgets some for itself alone."""

    def __init__(self, counts: ShadowEvidence) -> None:
        self._counts, self._forgotten = counts, set[LimitKey]()
        self.version = counts.version

    def evidence(self, identity: LimitKey, over: float = HOUR) -> Evidence | None:
        """Return what was counted, unless it was forgotten."""
        return None if identity in self._forgotten else self._counts.evidence(identity, over)

    def forget(self, identity: LimitKey) -> None:
        """Forget what was counted of a limit."""
        self._forgotten.add(identity)


@dataclass(frozen=True, slots=True)
class LimitOutlook:
    """What a limit is: requests/s over all gateway pods (None: there is none), for how many per cent of the requests it
    is `enforced`, at most how many of them at once at each gateway pod, why, and what keeps it from the figure that an
    override asks for (`cap`, a sentence)."""

    total: Fraction | None
    enforced: int = 100
    burst: int = 0
    reason: str = ""
    is_closed: bool = False
    override: Override | None = None
    cap: str = ""

    @property
    def mode(self) -> str:
        """Return the mode in force."""
        if self.total is None:
            return "off"
        return "enforce" if self.enforced == 100 else "ramp" if self.enforced else "shadow"


NONE = LimitOutlook(None)


@dataclass(frozen=True, slots=True)
class PlannedState:
    """A plan, and the figures of replicas that hold under it."""

    plan: Plan
    figures: Figures


@dataclass(frozen=True, slots=True)
class ForecastShift:
    """A limit of a model, or of one `version`, before and after a change."""

    namespace: str
    model: str
    version: str
    before: LimitOutlook
    after: LimitOutlook


class LimitForecaster:
    """Forecasts limits from what the store shows now: `observer` is a copy of the limit loop's, for some evidence."""

    def __init__(self, observer: Callable[[Evidences], LimitObserver], counts: ShadowEvidence) -> None:
        self._observer, self._counts = observer, counts

    def shifts(
        self, now: PlannedState, then: PlannedState, about: frozenset[LimitKey] = frozenset()
    ) -> tuple[ForecastShift, ...]:
        """Return the limits that are another under `then`, and those that are asked `about`."""
        keys = _concerned(now, then, about)
        if not keys:
            return ()
        observer, looks = self._observer(_KeptCounts(self._counts)), []
        for state in (now, then):
            observer.follow(_only(state.plan, keys), state.figures)
            looks.append((observer.observe(LimitState()), observer.slots()))
        return tuple(_shifts(now.plan, then.plan, looks, about))


def _concerned(now: PlannedState, then: PlannedState, about: frozenset[LimitKey]) -> frozenset[LimitKey]:
    """Return the limits that may differ: of what they depend, a tenant's ceiling and the pinned slots tie several."""
    before, after = now.plan.limits, then.plan.limits
    differing = {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}
    differing |= {key for key in before.keys() & after.keys() if _moved(before[key].terms, now, then)}
    differing |= about & (before.keys() | after.keys())
    if not differing:
        return frozenset()
    tenants = {found[key].terms.tenant for found in (before, after) for key in differing if key in found}
    both = (limited for limits in (before, after) for limited in limits.values())
    return frozenset(
        one.terms.identity
        for one in both
        if one.terms.tenant in tenants or one.overrides or one.terms.verdict or one.terms.mode in ("shadow", "ramp")
    )


def _moved(terms: Terms, now: PlannedState, then: PlannedState) -> bool:
    if any(now.plan.pools.get(pool) != then.plan.pools.get(pool) for pool in terms.pools):
        return True
    place = (terms.namespace, terms.model)
    found = ({k: f for k, f in state.figures.of.items() if k[:2] == place} for state in (now, then))
    return next(found) != next(found)


def _only(plan: Plan, keys: frozenset[LimitKey]) -> Plan:
    return replace(plan, limits={key: limited for key, limited in plan.limits.items() if key in keys})


def _shifts(
    now: Plan, then: Plan, looks: list[tuple[ObservedLimits, Mapping[Slot, Limits]]], about: frozenset[LimitKey]
) -> Iterator[ForecastShift]:
    seen = [dict(_outlooks(*look)) for look in looks]
    terms = {key: limited.terms for plan in (then, now) for key, limited in plan.limits.items()}
    for key in sorted(seen[0].keys() | seen[1].keys()):
        before, after = seen[0].get(key, NONE), seen[1].get(key, NONE)
        if key not in terms or (key not in then.limits and terms[key].place in then.frozen_models):
            continue  # of a document that is not accepted, what is in its slot stays
        if before != after or key in about:
            one = terms[key]
            yield ForecastShift(one.namespace, one.model, one.version, before, after)


def _total(found: LimitTarget, bucket: Bucket | None) -> Fraction | None:
    """Return the undivided limit; the one in force where that stays."""
    value = found.target.total.value
    if value is None and bucket is not None:
        value = bucket.rate * max(found.target.gateways, 1)
    return value


def _outlooks(observed: ObservedLimits, slots: Mapping[Slot, Limits]) -> Iterator[tuple[LimitKey, LimitOutlook]]:
    for key in observed.lifted:
        yield key, LimitOutlook(None, reason="Lifted", override=observed.overrides.get(key))
    for key, found in observed.seen.targets.items():
        if key.part == "requests":
            continue
        bucket = found.target.bucket or live_bucket(found.terms, slots)
        stage, total = observed.staged.stages.get(key.whole), found.target.total
        yield (
            key,
            LimitOutlook(
                total=_total(found, bucket),
                enforced=stage.enforced if stage else 100,
                burst=bucket.burst if bucket else 0,
                reason=total.reason,
                is_closed=total.closed and not observed.staged.is_partial(key),
                override=observed.overrides.get(key),
                cap=cap_sentence(found.terms, total.cap, total.value) if total.cap and total.value is not None else "",
            ),
        )
