"""The limit loop: from pods to slots, as fast as the debounce allows and no faster.

It shares the store with the main loop and has a loop of its own, so that a replica event waits for nothing else.
`observer` reads, `ratelimiter.controller` decides, `slot_writer` writes, and `limit_view` shows it to people.
"""

import asyncio
from collections.abc import Mapping
from functools import partial

from istio_templates.facts import GatewayPool, ObjectKey
from k8s_manager.drift.repair import Repair
from k8s_manager.kube.fence import FencedClient
from k8s_manager.kube.store import Store
from k8s_manager.limits.limit_change import announce, announce_overrides, limit_changes
from k8s_manager.limits.limit_view import LimitViews
from k8s_manager.limits.observer import LimitObserver, ObservedLimits
from k8s_manager.limits.prometheus_replicas import SampleLoop
from k8s_manager.limits.shadow_counts import ShadowCounts
from k8s_manager.limits.slot_rollback import RolledBack, SlotRollbacks
from k8s_manager.limits.slot_writer import SlotWriter
from k8s_manager.limits.stages import Evidences
from k8s_manager.pipeline.figures import Figures
from k8s_manager.pipeline.plan import Plan
from k8s_manager.runtime.clock import Clock
from k8s_manager.runtime.control_loop import Cadence, control_loop
from k8s_manager.runtime.effects.lane import Effects, earliest
from k8s_manager.runtime.events import Events
from k8s_manager.runtime.hold_off import RightOfWay
from k8s_manager.runtime.metrics import OVERRIDES
from k8s_manager.runtime.settings import Settings
from k8s_manager.world.limit_feedback import LimitFeedback
from ratelimiter import controller
from ratelimiter.controller import LimitDecision, Limits, Slot

KINDS = frozenset({"Pod", "EnvoyFilter"})
"""What triggers a pass."""


class LimitLoop:
    """Keeps every slot of every gateway in line with the ready replicas.

    `trigger` begins a pass; `changed` is set when the main loop has something to plan or to show, `written` when a slot
    has been written, or a gateway is known that was not.
    """

    def __init__(
        self,
        client: FencedClient,
        store: Store,
        clock: Clock,
        settings: Settings,
        events: Events,
        samples: SampleLoop,
        counts: ShadowCounts,
        trigger: asyncio.Event,
        changed: asyncio.Event,
        written: asyncio.Event,
    ) -> None:
        self._clock, self._settings, self._events = clock, settings, events
        self._trigger, self._changed, self._written = trigger, changed, written
        self._effects = Effects(clock, trigger)
        self.rolled_back = SlotRollbacks()
        self._observer = LimitObserver(store, clock, settings, samples, counts, self.rolled_back)
        self._writer = SlotWriter(client, store, clock, self.rolled_back, written, self._effects)
        self.views = LimitViews(store, clock, counts, self.rolled_back)
        self._observed, self._state = ObservedLimits(), controller.LimitState()
        self._has_observed = False
        self.right_of_way = RightOfWay(clock)

    @property
    def pools(self) -> Mapping[str, GatewayPool]:
        """All gateways, by name."""
        return self._observer.plan.pools

    def observer_copy(self, counts: Evidences) -> LimitObserver:
        """Return a copy of the observer for a forecast, with evidence of its own."""
        return self._observer.copy(counts)

    @property
    def feedback(self) -> LimitFeedback:
        """What the next plan has to know."""
        return self._observed.feedback

    def follow(self, plan: Plan, figures: Figures) -> None:
        """Take over a new plan from the main loop, with the figures that replicas run with; models that are new in it
        can be viewed from now on, and gateways be probed."""
        if self.pools.keys() != plan.pools.keys():
            self._written.set()
        self._observer.follow(plan, figures)
        self._writer.pools = plan.pools
        known = self._observed.seen.targets.keys() | self.feedback.lifted
        if not self._has_observed or plan.limits.keys() - known:
            self._decide()
        self._trigger.set()

    async def run(self, leads: bool = True) -> None:
        """Observe, decide, write, until cancelled.

        A standby takes what the leader writes for its own, so that it can go on from there.
        """
        if leads:
            self._observer.begin_term()
        self._trigger.set()
        quiet = self._settings.limit_quiet if leads else self._settings.quiet
        await control_loop("limits", partial(self.once, leads), self._effects, Cadence(quiet, quiet), self._clock)

    async def once(self, leads: bool) -> float | None:
        """Make one pass; return when the next is due without an event."""
        try:
            return await self._pass(leads)
        finally:
            self.right_of_way.passed()

    async def _pass(self, leads: bool) -> float | None:
        self._collect()
        decision = self._decide()
        self.right_of_way.due = self._clock.now() if decision.writes and leads else decision.wake_at
        seen = self._observed.seen
        if decision.writes and leads:
            await self._writer.write(seen.live, decision)
            self._collect(ticked=True)
            self.right_of_way.due = None
            self._trigger.set()
            return self._observer.next_due()
        if decision.writes:
            self._adopt(seen.live)
            self._written.set()
        if decision.wake_at is not None:
            self._writer.postpone(decision.wake_at)
        return earliest([decision.wake_at, self._observer.next_due()])

    def _collect(self, ticked: bool = False) -> None:
        """Take over what has arrived; late slots of earlier ticks are no tick of their own."""
        arrived = self._writer.collect()
        if arrived or ticked:
            self._adopt(arrived, ticked)
            self._changed.set()

    def roll_back(self, slot: Slot, rejected: Limits, good: Limits, until: float) -> None:
        """Write `good` to a slot that holds `rejected`, until something else is desired of it or it is tried again."""
        if self._observer.live(slot) == rejected:
            self.rolled_back.add(slot, RolledBack(rejected, good, until))
            self._trigger.set()
            self._changed.set()

    def send_again(self, slot: Slot, sent: int) -> None:
        """Have a slot sent again that a gateway pod has not taken, for the `sent`-th time."""
        self.rolled_back.send_again(slot, sent)
        self._trigger.set()

    def take_repairs(self) -> dict[ObjectKey, Repair]:
        """Return the slots that were set back since the last call."""
        return self._writer.take_repairs()

    def _decide(self) -> LimitDecision:
        before, self._observed = self._observed, self._observer.observe(self._state)
        OVERRIDES.set(len(self._observed.overrides))
        waiting = self._writer.waiting()
        decision, self._state = controller.decide(self._state, self._observed.seen, self._clock.now(), waiting)
        self.views.show(self._observed, self._state)
        if self._observed.overrides != before.overrides:
            announce_overrides(before.overrides, self._observed.overrides, self._events)
        if self._observed.concerns_plan(before):
            self._changed.set()
        self._has_observed = True
        return decision

    def _adopt(self, slots: Mapping[Slot, Limits], ticked: bool = True) -> None:
        """Take what is in slots for what is in force."""
        before, at = self._state, self._clock.now()
        self._state = controller.written(before, slots, at, ticked)
        self.views.show(self._observed, self._state)
        for change in limit_changes(self._observed.seen, before, self._state):
            self.views.note_change(change.entry)
            self._observer.note_change(change)
            announce(change, self._events, at, self._observed.overrides.get(change.entry[1]))
