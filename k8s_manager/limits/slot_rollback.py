"""Slots whose limits gateway pods did not take: what is written there instead and until when, or what is sent again."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from istio_templates.envoy_filter import sent_of
from istio_templates.facts import Manifest
from k8s_manager.gather.limit_record import applied_of
from ratelimiter.controller import Limits, Slot


@dataclass(frozen=True, slots=True)
class RolledBack:
    """Limits that no gateway pod took, those that are written instead, and when the first are tried again (seconds)."""

    rejected: Limits
    good: Limits
    until: float


class SlotRollbacks:
    """All rollbacks that are under way. The controller still desires what was rejected, and is shown it.

    `version` is another one whenever a rollback begins or ends, or a slot is to be sent again; `applied` is what all
    gateway pods were observed to run.
    """

    def __init__(self) -> None:
        self.applied: dict[Slot, Limits] = {}
        self._rollbacks: dict[Slot, RolledBack] = {}
        self._sent: dict[Slot, int] = {}
        self.version = 0

    def __iter__(self) -> Iterator[Slot]:
        return iter(sorted(self._rollbacks))

    def retain(self, gateways: Collection[str]) -> None:
        """Keep in mind what the pods of these gateways ran, and of no others."""
        self.applied = {slot: limits for slot, limits in self.applied.items() if slot[0] in gateways}
        self._sent = {slot: sent for slot, sent in self._sent.items() if slot[0] in gateways}

    def last_applied(self, slot: Slot, live: Manifest | None) -> Limits | None:
        """Return what all gateway pods last ran of a slot: as this manager has observed it, or as its EnvoyFilter
        says."""
        found = self.applied.get(slot)
        return found if found is not None or live is None else applied_of(live)

    def add(self, slot: Slot, rollback: RolledBack) -> None:
        """Begin one."""
        self._rollbacks[slot] = rollback
        self.version += 1

    def end(self, slots: Mapping[Slot, Limits], now: float) -> None:
        """Forget what is over: its time, its gateway, or what was written there."""
        over = [
            slot
            for slot, rollback in self._rollbacks.items()
            if now >= rollback.until or slots.get(slot) not in (rollback.rejected, rollback.good)
        ]
        for slot in over:
            del self._rollbacks[slot]
        self.version += bool(over)

    def send_again(self, slot: Slot, sent: int) -> None:
        """Have a slot written that is right, with the next number for how often it was `sent`: a gateway pod has not
        taken it, and istiod sends what has not changed to no pod."""
        self._sent[slot] = sent
        self.version += 1

    def sent(self, slot: Slot, live: Manifest | None) -> int:
        """Return how often a slot was sent again, with the time that is due."""
        return max(self._sent.get(slot, 0), sent_of(live) if live else 0)

    def next_end(self) -> float | None:
        """Return when the next one is tried again."""
        return min((rollback.until for rollback in self._rollbacks.values()), default=None)

    def desired(self, slot: Slot, live: Limits) -> Limits:
        """Return what the controller desires of a slot in which `live` is."""
        rollback = self._rollbacks.get(slot)
        return rollback.rejected if rollback and live == rollback.good else live

    def substitute(self, slot: Slot, limits: Limits) -> Limits:
        """Return what is written to a slot of which `limits` are desired."""
        rollback = self._rollbacks.get(slot)
        return rollback.good if rollback and limits == rollback.rejected else limits
