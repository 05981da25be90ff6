"""What people are shown of limits: one view for each limit on each of its gateways."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from istio_templates.facts import Bucket, LimitKey
from k8s_manager.kube.store import Store
from k8s_manager.limits.observer import ObservedLimits
from k8s_manager.limits.prometheus_replicas import ONE_SOURCE, SourceDoubt
from k8s_manager.limits.shadow_counts import ShadowCounts
from k8s_manager.limits.slot_rollback import SlotRollbacks
from k8s_manager.runtime.clock import Clock
from ratelimiter import debounce
from ratelimiter.controller import Entry, LimitState, LimitTarget
from ratelimiter.modes import Evidence, Stage
from ratelimiter.overrides import Override


class LimitFacts(NamedTuple):
    """The part of a view that does not depend on the clock: while it is equal, the status is the same."""

    wanted: LimitTarget
    slot: int
    in_force: Bucket | None
    override: Override | None
    lifted: bool
    stage: Stage | None
    evidence: Evidence | None
    holders: tuple[LimitKey, ...] | None
    overruled: tuple[Override, ...] = ()


@dataclass(frozen=True, slots=True)
class LimitView:
    """One limit on one gateway: its target and slot, what is in force since when, which change waits until when.

    `override` is the one in force, `overruled` are weaker ones, `lifted` whether there is no limit for now, `last_seen`
    when the watch of pods last reported anything. In shadow or ramp: its `stage` and what was counted, or who holds the
    slots that it waits for. `own` are the limits that versions have of their own.
    """

    wanted: LimitTarget
    slot: int
    in_force: Bucket | None = None
    override: Override | None = None
    lifted: bool = False
    stage: Stage | None = None
    evidence: Evidence | None = None
    holders: tuple[LimitKey, ...] | None = None
    overruled: tuple[Override, ...] = ()
    since: datetime | None = None
    pending: Bucket | None = None
    due_in: float | None = None
    last_seen: datetime | None = None
    own: tuple["LimitView", ...] = ()


class LimitViews:
    """All views, of what was observed last. `rolled_back` are the slots whose limits no gateway pod took."""

    def __init__(self, store: Store, clock: Clock, counts: ShadowCounts, rolled_back: SlotRollbacks) -> None:
        self._store, self._clock, self._counts = store, clock, counts
        self._observed, self._state = ObservedLimits(), LimitState()
        self._since: dict[Entry, datetime] = {}
        self.rolled_back = rolled_back

    def show(self, observed: ObservedLimits, state: LimitState) -> None:
        """Show these from now on."""
        self._observed, self._state = observed, state

    def note_change(self, entry: Entry) -> None:
        """Note that a limit on a gateway is in force since now."""
        self._since[entry] = self._clock.utc()

    def source_doubt(self, identity: LimitKey) -> SourceDoubt | None:
        """Return why Prometheus and the watch may not agree over a model's replicas; None where they do."""
        doubts = self._observed.doubts
        return ONE_SOURCE if doubts is None else doubts.get(identity)

    def mark(self, identity: LimitKey) -> object:
        """Return something that differs whenever the views of a model differ in more than what moves with the clock."""
        target = self._observed.target(identity)
        if target is None:
            return None
        own = self._own(identity)
        return tuple(self._facts(pool, of) for pool in target.terms.pools for of in (target, *own))

    def facts(self, identity: LimitKey) -> LimitFacts | None:
        """Return what a model's views say first, on the first of its gateways; None without a limit."""
        target = self._observed.target(identity)
        return None if target is None else self._facts(target.terms.pools[0], target)

    def view(self, identity: LimitKey) -> dict[str, LimitView]:
        """Return a model's limit on each of its gateways."""
        target = self._observed.target(identity)
        if target is None:
            return {}
        own = self._own(identity)
        return {
            pool: self._view(pool, target, tuple(self._view(pool, of_version) for of_version in own))
            for pool in target.terms.pools
        }

    def _own(self, identity: LimitKey) -> list[LimitTarget]:
        targets = self._observed.seen.targets
        return [targets[key] for key in self._observed.own.get(identity, ()) if key in targets]

    def _facts(self, pool: str, target: LimitTarget) -> LimitFacts:
        identity, observed = target.terms.identity, self._observed
        entry, lifted = (pool, identity), identity in observed.lifted
        limit = None if lifted else self._state.limits.get(entry)
        return LimitFacts(
            target,
            observed.staged.placed.get(entry, target.terms.slot),
            limit.written if limit else None,
            observed.overrides.get(identity),
            lifted,
            observed.staged.stages.get(identity) if limit else None,
            self._counts.shown(identity) if limit else None,
            observed.staged.holders.get(identity),
            observed.overruled.get(identity, ()),
        )

    def _view(self, pool: str, target: LimitTarget, own: tuple[LimitView, ...] = ()) -> LimitView:
        facts, entry = self._facts(pool, target), (pool, target.terms.identity)
        limit = None if facts.lifted else self._state.limits.get(entry)
        due = debounce.due_at(limit, target.terms.rules) if limit else None
        return LimitView(
            *facts,
            since=self._since.get(entry) if limit else None,
            pending=limit.pending.target if limit and limit.pending else None,
            due_in=None if due is None else max(0.0, due - self._clock.now()),
            last_seen=self._last_seen(),
            own=own,
        )

    def _last_seen(self) -> datetime | None:
        at = self._store.last_seen.get("Pod")
        return None if at is None else self._clock.utc() - timedelta(seconds=self._clock.now() - at)
