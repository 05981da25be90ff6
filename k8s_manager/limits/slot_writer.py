"""The writer of slots: one EnvoyFilter for each, side by side, those that give a limit away last.

A tick goes on without a slot that is late or failed. It is not written a second time meanwhile, and no limit leaves
another slot before it has arrived there.
"""

import asyncio
from collections.abc import Mapping
from functools import partial

from istio_templates import names
from istio_templates.catalog import render_slot
from istio_templates.facts import GatewayPool, Manifest, ObjectKey, SlotFacts
from k8s_manager.drift.digest import has_same_digest, stamped
from k8s_manager.drift.provenance import reject_foreign
from k8s_manager.drift.repair import Repair, remove_additions
from k8s_manager.gather.limit_record import with_applied
from k8s_manager.kube.base_version import pinned, read_live, write_over
from k8s_manager.kube.fence import FencedClient
from k8s_manager.kube.store import Store
from k8s_manager.limits.slot_rollback import SlotRollbacks
from k8s_manager.runtime.backoff import Backoff
from k8s_manager.runtime.clock import Clock
from k8s_manager.runtime.effects.lane import Effects
from k8s_manager.runtime.metrics import RENDERED, SLOT_WRITES
from ratelimiter import controller
from ratelimiter.controller import LimitDecision, Limits, Slot

AT_ONCE, PATIENCE = 64, 0.3
"""Slots written at once, and the seconds for which a tick waits for one."""
BACKOFF = Backoff(0.5, 5.0)
"""A limit must not wait long for an API server that is back."""


class SlotWriter:
    """Writes slots of the gateways in `pools`, and sets `written` at each that has arrived."""

    def __init__(
        self,
        client: FencedClient,
        store: Store,
        clock: Clock,
        rollbacks: SlotRollbacks,
        written: asyncio.Event,
        effects: Effects,
    ) -> None:
        self._client, self._store, self._clock, self._rollbacks = client, store, clock, rollbacks
        self._lane = effects.lane("slot", AT_ONCE, PATIENCE, BACKOFF)
        self._repairs: dict[ObjectKey, Repair] = {}
        self._arrived: dict[Slot, Limits] = {}
        self.pools: Mapping[str, GatewayPool] = {}
        self.written = written

    def waiting(self) -> frozenset[Slot]:
        """Return the slots that cannot be written now: a write of theirs is under way, or failed a moment ago."""
        book, now = self._lane.book, self._clock.now()
        return book.under_way | {slot for slot in book.failed if book.is_backing_off(slot, now)}

    def postpone(self, tick: float) -> None:
        """Keep what failed and is due for the next tick, at which the slots that are still desired are written."""
        self._lane.book.postpone(self._clock.now(), tick)

    async def write(self, live: Mapping[Slot, Limits], decision: LimitDecision) -> None:
        """Write the slots of a decision, beside what is `live`; `collect` returns those that have arrived."""
        giving = controller.giving(live, decision.writes)
        done, tried = set[Slot](), set[Slot]()
        while turn := controller.next_writes(decision.writes.keys(), giving, done, tried):
            writes = {slot: decision.writes[slot] for slot in turn if slot[0] in self.pools}
            effects = {
                slot: partial(self._write_slot, slot, limits, slot in decision.stale) for slot, limits in writes.items()
            }
            done |= writes.keys() - await self._lane.run(effects)
            tried |= turn

    def collect(self) -> dict[Slot, Limits]:
        """Return the slots that have arrived since the last call, late ones of earlier ticks among them."""
        arrived, self._arrived = self._arrived, {}
        return arrived

    def take_repairs(self) -> dict[ObjectKey, Repair]:
        """Return the slots that were set back since the last call."""
        repairs, self._repairs = self._repairs, {}
        return repairs

    async def _write_slot(self, slot: Slot, limits: Limits, stale: bool) -> None:
        pool = self.pools[slot[0]]
        RENDERED.labels("slot").inc()
        live = self._store.owned.get(ObjectKey("EnvoyFilter", pool.namespace, names.slot_object(pool, slot[1])))
        sent = self._rollbacks.sent(slot, live)
        (rendered,) = render_slot(SlotFacts(pool, slot[1], self._rollbacks.substitute(slot, limits), sent))
        applied = self._rollbacks.last_applied(slot, live)
        obj = with_applied(stamped(rendered), applied)
        try:
            await self._apply(obj, stale)
        except Exception:
            SLOT_WRITES.labels("failure").inc()
            raise
        SLOT_WRITES.labels("success").inc()
        self._arrived[slot] = limits
        self.written.set()

    async def _apply(self, obj: Manifest, stale: bool) -> None:
        key = names.key_of(obj)
        if key not in self._store.owned and (live := self._store.get(key) and await read_live(self._client, key)):
            reject_foreign(live, obj)
        base = self._store.owned.get(key)
        repair = await remove_additions(self._client, obj) if stale else None
        self._store.put(await self._apply_over(base, obj))
        if repair and repair.writers:
            self._repairs[key] = repair

    async def _apply_over(self, base: Manifest | None, obj: Manifest) -> Manifest:
        """Apply a slot over what was observed, unless another manager has written other limits since."""
        if base is None:
            return await self._client.apply(obj, force=True)
        return await write_over(
            self._client, base, lambda live: self._client.apply(pinned(obj, live), force=True), has_same_digest
        )
