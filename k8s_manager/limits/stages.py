"""How far every limit in shadow or ramp has come, and in which pinned slots it is."""

from collections.abc import Hashable, Mapping, Set
from dataclasses import dataclass, field, replace
from typing import Protocol

from istio_templates import names
from istio_templates.facts import Bucket, LimitKey
from k8s_manager.pipeline.model_plan import Limited
from ratelimiter import modes, overrides, pins
from ratelimiter.controller import Entry, Limits, Slot
from ratelimiter.evidence import HOUR
from ratelimiter.modes import Evidence, Stage
from ratelimiter.overrides import Override
from ratelimiter.target import Terms


class Evidences(Protocol):
    """Where evidence comes from; `version` is another whenever there is more of it."""

    version: int

    def evidence(self, identity: LimitKey, over: float = HOUR) -> Evidence | None:
        """Return what was counted of a model in the last seconds; None where nothing was yet."""

    def forget(self, identity: LimitKey) -> None:
        """Begin counting from zero: the limit is another."""


@dataclass(frozen=True, slots=True)
class StagedLimits:
    """The stage of every model that is not simply enforced or off, the slots in which limits are placed, who holds
    the pairs of those that got none, and when a ramp goes on."""

    stages: Mapping[LimitKey, Stage] = field(default_factory=dict)
    placed: Mapping[Entry, int] = field(default_factory=dict)
    holders: Mapping[LimitKey, tuple[LimitKey, ...]] = field(default_factory=dict)
    next_at: float | None = None

    def pools(self, terms: Terms) -> tuple[str, ...]:
        """Return the gateways in which a limit is pinned; while a tenant moves, one of two may have no slots free."""
        return tuple(pool for pool in terms.pools if (pool, terms.identity) in self.placed)

    def is_partial(self, identity: LimitKey) -> bool:
        """Tell whether a limit is not enforced for all requests: then a model is not closed either."""
        stage = self.stages.get(identity)
        return stage is not None and stage.pinned


@dataclass(slots=True)
class RampProgress:
    """How far a limit has come by its own document: for how many per cent it is enforced (None: not at all yet), when
    its ramp began and how long that takes, and the figures that were counted against."""

    share: int | None
    ramp: tuple[float, float] | None = None
    figures: Hashable = None


class StageTracker:
    """Stages pass after pass. What it remembers stands in the slots too, as long as no override is in force."""

    def __init__(self, evidences: Evidences) -> None:
        self._evidences = evidences
        self._progress: dict[LimitKey, RampProgress] = {}

    def copy(self, evidences: Evidences) -> "StageTracker":
        """Return a tracker that has come as far, and goes on by itself."""
        other = StageTracker(evidences)
        other._progress = {identity: replace(known) for identity, known in self._progress.items()}
        return other

    def stage(
        self,
        limits: Mapping[LimitKey, Limited],
        in_force: Mapping[LimitKey, Override],
        slots: Mapping[Slot, Limits],
        kept: frozenset[LimitKey],
        now: float,
    ) -> StagedLimits:
        """Return where the limits of models stand. `limits` are all limits of those that may be staged."""
        whole = {i: limited for i, limited in limits.items() if not limited.terms.version}
        resting = {i: p for i, p in self._progress.items() if i in kept and i not in whole}
        figures = _figures(limits, in_force)
        self._progress = resting | {i: self._known(limited.terms, figures[i], slots) for i, limited in whole.items()}
        found = {i: self._stage(limited.terms, in_force.get(i), now) for i, limited in whole.items()}
        stages = {i: s for i, s in found.items() if s and (s.pinned or whole[i].terms.mode != "enforce")}
        asking = [(i, whole[i].terms.pools) for i, stage in stages.items() if stage.pinned]
        pinned = pins.assign(asking, slots, kept)
        still = {i for i in found if i in pinned.holders or _sets_a_stage(in_force.get(i))}
        stages |= {i: replace(stages[i], next_at=None) for i in still & stages.keys()}
        frozen = {i for i, override in in_force.items() if override.action == "freeze"}
        self._note(found, whole, still, frozen)
        following = [stage.next_at for stage in stages.values() if stage.next_at is not None]
        return StagedLimits(stages, _placed(pinned, limits), pinned.holders, min(following, default=None))

    def _known(self, terms: Terms, figures: Hashable, slots: Mapping[Slot, Limits]) -> RampProgress:
        """Return what is known of a limit; what was counted of other figures is forgotten."""
        known = self._progress.get(terms.identity)
        if known is None:
            live = live_bucket(terms, slots)
            return RampProgress(live.enforced if live else None, figures=figures)
        if known.figures != figures:
            self._evidences.forget(terms.identity)
            known.figures = figures
        return known

    def _stage(self, terms: Terms, override: Override | None, now: float) -> Stage | None:
        """Return where a limit stands; None where there is none."""
        mode, known = overrides.mode_under(override, terms), self._progress[terms.identity]
        if mode == "off" or overrides.takes_away(override):
            return None
        if override and (override.mode or override.action == "floor"):
            return Stage(0 if mode == "shadow" and override.mode else 100)
        if override and override.action == "freeze" and known.share is not None:
            return Stage(known.share)
        return self._by_document(terms, known, now)

    def _by_document(self, terms: Terms, known: RampProgress, now: float) -> Stage:
        over = terms.ramp
        began, of = known.ramp or (now, None)
        if of != over:
            began = modes.begun(known.share, over, now)
        stage = modes.stage(terms.mode, known.share, began, over, now)
        if terms.verdict:
            evidence = self._evidences.evidence(terms.identity, terms.verdict.over)
            stage = modes.held_back(stage, known.share, terms.verdict, evidence)
        known.ramp = (began, over) if terms.mode == "ramp" and not stage.awaits else None
        return stage

    def _note(
        self,
        found: Mapping[LimitKey, Stage | None],
        whole: Mapping[LimitKey, Limited],
        still: Set[LimitKey],
        frozen: Set[LimitKey],
    ) -> None:
        """Note how far each has come. Those that stand still, under an override or for want of slots, do not move; but
        who asks for shadow is in shadow, slots or none, unless the limit is frozen."""
        for identity, stage in found.items():
            known = self._progress[identity]
            if identity not in still:
                known.share = stage.enforced if stage else None
                continue
            known.ramp = None
            if stage and identity not in frozen and (stage.awaits or whole[identity].terms.mode == "shadow"):
                known.share = 0


def _sets_a_stage(override: Override | None) -> bool:
    return override is not None and (override.mode is not None or override.action is not None)


def _figures(limits: Mapping[LimitKey, Limited], in_force: Mapping[LimitKey, Override]) -> dict[LimitKey, Hashable]:
    """Return, by identity, all that is counted against: what documents and overrides say of a limit, versions' own
    limits included."""
    out: dict[LimitKey, tuple[Hashable, ...]] = {}
    for key, limited in limits.items():
        override, spec = in_force.get(key), limited.spec
        own = [version.per_replica_qps for version in spec.versions]
        each = (spec.rate_limit.per_replica_qps if spec.rate_limit else None, *own)
        said = (limited.terms.bounds, limited.terms.burst, each)
        set_so = (override.total, override.per_replica) if override else (None, None)
        identity = key.whole
        out[identity] = (*out.get(identity, ()), key, said, set_so)
    return dict(out)


def live_bucket(terms: Terms, slots: Mapping[Slot, Limits]) -> Bucket | None:
    """Return what a gateway pod enforces of a limit now; None where it is in no slot. Of several the laxest.

    In a shared slot it is enforced for all requests, or an edit has changed it.
    """
    found = [
        bucket if number < names.PINNED_SLOTS else replace(bucket, enforced=100)
        for pool in terms.pools
        for number in (*range(names.PINNED_SLOTS), terms.slot)
        if (bucket := _limit(terms.identity, slots.get((pool, number), ())))
    ]
    return min(found, default=None, key=lambda bucket: bucket.enforced)


def _limit(identity: LimitKey, limits: Limits) -> Bucket | None:
    return next((bucket for key, bucket in limits if key == identity), None)


def _placed(pinned: pins.Pinned, limits: Mapping[LimitKey, Limited]) -> dict[Entry, int]:
    """Return the slot of every limit of the pinned models: the limiter for the whole's and its versions', and beside it
    the counter."""
    out: dict[Entry, int] = {}
    for (gateway, identity), pair in pinned.pairs.items():
        for key in limits:
            if key.whole == identity:
                out[gateway, key] = pins.limiter(pair)
        out[gateway, identity.of_part(names.REQUESTS)] = pins.counter(pair)
    return out
