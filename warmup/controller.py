"""The keeper of the gate: warms pods side by side and turns their gates. What to do, `gate` decides.

It holds nothing that a restart could not find again: a gate's verdict is on its pod, and what was under way begins
again.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Protocol

from istio_templates.errors import TidegateError
from warmup import gate
from warmup.engine import Progress, WarmupOutcome, warm
from warmup.gate import GateDecision, GateState, GateUpdate
from warmup.plans.bundle import Bundle, bundle_from
from warmup.pods import GatedPod, WarmupClaim
from warmup.warmup_queue import Places, WarmupBounds
from warmup.wire import ServerConnection

log = logging.getLogger(__name__)
RESYNC, RETRY = 30.0, 1.0


class ControllerClock(Protocol):
    """What is known of time here."""

    def now(self) -> float:
        """Return seconds since some moment, never going back."""

    def utc(self) -> datetime:
        """Return the wall clock, for people."""


class GateWriter(Protocol):
    """What is done to pods; every call names the UID that it is for, and fails with a `TidegateError`."""

    async def turn(self, turn: GateUpdate) -> None:
        """Set a pod's gate and verdict."""

    async def delete(self, pod: GatedPod) -> None:
        """Delete a pod, so that another takes its place."""


class WarmupListener(Protocol):
    """Takes the results of pods."""

    def ended(self, pod: GatedPod, claim: WarmupClaim, outcome: WarmupOutcome) -> None:
        """Note the outcome of a pod's warm-up."""


class WarmupController:
    """Keeps the gates of all pods, as long as `look` is called."""

    def __init__(
        self,
        gates: GateWriter,
        clock: ControllerClock,
        bounds: WarmupBounds,
        connect: Callable[[Bundle, str, str], ServerConnection],
        told: WarmupListener,
        changed: Callable[[], None],
    ) -> None:
        self._gates, self._clock, self._places = gates, clock, Places(bounds)
        self._connect, self._told, self._changed = connect, told, changed
        self._state = GateState()
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._progress: dict[str, Progress] = {}
        self._failed = False

    @property
    def progress(self) -> Mapping[str, Progress]:
        """How far the pods have come that are being warmed, by UID."""
        return self._progress

    @property
    def state(self) -> GateState:
        """What is under way, and the outcome for pods that are not open."""
        return self._state

    async def look(self, pods: Iterable[GatedPod], claims: Iterable[WarmupClaim]) -> float:
        """Do what has to be done now; return when to look again at the latest."""
        decision, self._state = gate.decide(self._state, pods, claims, self._clock.now())
        self._stop(decision.stop)
        for pod, claim in decision.begin:
            self._tasks[pod.uid] = asyncio.create_task(self._warm(pod, claim))
        self._failed = False
        await asyncio.gather(*(self._turn(turn) for turn in decision.turns))
        return self._again(decision)

    async def close(self) -> None:
        """Stop everything that is under way; gates stay as they are."""
        tasks = list(self._tasks.values())
        self._stop(frozenset(self._tasks))
        await asyncio.gather(*tasks, return_exceptions=True)

    def _again(self, decision: GateDecision) -> float:
        resync = self._clock.now() + (RETRY if self._failed else RESYNC)
        return resync if decision.wake_at is None else min(resync, decision.wake_at)

    def _stop(self, uids: Iterable[str]) -> None:
        for uid in uids:
            if task := self._tasks.pop(uid, None):
                task.cancel()
            self._progress.pop(uid, None)

    async def _warm(self, pod: GatedPod, claim: WarmupClaim) -> None:
        """Warm one pod and do what its plan asks for on this outcome."""
        try:
            bundle = bundle_from(claim.plan)
            outcome = await self._outcome(pod, claim, bundle)
            policy = bundle.spec.on_timeout
        except TidegateError as error:
            outcome, policy = WarmupOutcome("PlanWrong", str(error)), "hold"
        except Exception as error:
            log.exception("the warm-up of %s failed; it is tried again", pod)
            outcome, policy = (
                WarmupOutcome("TimedOut", f"the warm-up itself failed: {error!r}; it is tried again"),
                "hold",
            )
        self._tasks.pop(pod.uid, None)
        self._progress.pop(pod.uid, None)
        at = self._clock.utc().isoformat(timespec="seconds")
        opens = gate.opening(pod, claim, outcome, policy, at)
        self._state = gate.ended(self._state, pod, outcome, opens, self._clock.now())
        if policy == "restart" and outcome.result in ("NotFastEnough", "TimedOut") and not pod.is_released:
            await self._delete(pod)
        self._told.ended(pod, claim, outcome)
        self._changed()

    async def _outcome(self, pod: GatedPod, claim: WarmupClaim, bundle: Bundle) -> WarmupOutcome:
        assert pod.address is not None
        client = self._connect(bundle, pod.address, claim.hash)

        def tell(progress: Progress) -> None:
            self._progress[pod.uid] = progress

        try:
            return await warm(bundle, client, self._clock, tell, self._places.place(pod))
        finally:
            await client.close()

    async def _turn(self, turn: GateUpdate) -> None:
        try:
            await self._gates.turn(turn)
        except TidegateError as error:
            log.warning("the gate of %s was not turned (%s): %s; it is tried again", turn.pod, turn.reason, error)
            self._failed = True

    async def _delete(self, pod: GatedPod) -> None:
        try:
            await self._gates.delete(pod)
        except TidegateError as error:
            log.warning("%s was not deleted: %s", pod, error)
