"""The writer of slots: one EnvoyFilter for each, side by side, those that give a limit away last."""

import asyncio
import logging
from collections.abc import Mapping

from istio_templates import names
from istio_templates.catalog import render_slot
from istio_templates.errors import TidegateError
from istio_templates.facts import GatewayPool, Manifest, ObjectKey, SlotFacts
from k8s_manager.drift.digest import has_same_digest, stamped
from k8s_manager.drift.provenance import reject_foreign
from k8s_manager.drift.repair import Repair, read_live, remove_additions
from k8s_manager.kube.base_version import pinned, write_over
from k8s_manager.kube.fence import FencedClient
from k8s_manager.kube.store import Store
from k8s_manager.limits.slot_rollback import SlotRollbacks
from k8s_manager.runtime.metrics import RENDERED, SLOT_WRITES
from ratelimiter import controller
from ratelimiter.controller import LimitDecision, Limits, Slot

log = logging.getLogger(__name__)


class SlotWriter:
    """Writes slots of the gateways in `pools`, and sets `written` at each that has arrived."""

    def __init__(self, client: FencedClient, store: Store, rollbacks: SlotRollbacks, written: asyncio.Event) -> None:
        self._client, self._store, self._rollbacks = client, store, rollbacks
        self._repairs: dict[ObjectKey, Repair] = {}
        self.pools: Mapping[str, GatewayPool] = {}
        self.written = written

    async def write(self, live: Mapping[Slot, Limits], decision: LimitDecision) -> dict[Slot, Limits]:
        """Write what was decided, beside what is `live`; return what arrived."""
        giving = controller.giving(live, decision.writes)
        done, tried = dict[Slot, Limits](), set[Slot]()
        while turn := controller.next_writes(decision.writes.keys(), giving, done.keys(), tried):
            done |= await self._write_together({slot: decision.writes[slot] for slot in turn}, decision.stale)
            tried |= turn
        return done

    def take_repairs(self) -> dict[ObjectKey, Repair]:
        """Return the slots that were set back since the last call."""
        repairs, self._repairs = self._repairs, {}
        return repairs

    async def _write_together(self, writes: Mapping[Slot, Limits], stale: frozenset[Slot]) -> dict[Slot, Limits]:
        outcomes = await asyncio.gather(
            *(self._write_slot(slot, limits, slot in stale) for slot, limits in writes.items())
        )
        return {slot: writes[slot] for slot, arrived in zip(writes, outcomes, strict=True) if arrived}

    async def _write_slot(self, slot: Slot, limits: Limits, stale: bool) -> bool:
        """Write one slot; tell whether it arrived."""
        pool = self.pools.get(slot[0])
        if pool is None:
            return False
        RENDERED.labels("slot").inc()
        (obj,) = map(stamped, render_slot(SlotFacts(pool, slot[1], self._rollbacks.substitute(slot, limits))))
        try:
            await self._apply(obj, stale)
        except TidegateError as error:
            SLOT_WRITES.labels("failure").inc()
            log.warning("slot %d of gateway %s was not written: %s", slot[1], slot[0], error)
            return False
        SLOT_WRITES.labels("success").inc()
        self.written.set()
        return True

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
