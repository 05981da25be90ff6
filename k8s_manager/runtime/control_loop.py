"""The one control loop: a pass at each trigger and whenever one is due; a pass that fails is logged and requeued.

trigger ──> hold_off ──> pass ──(when the next is due)──────────┐
               ^           ├──(an effect failed: its backoff)───┤
               │           └──(error: backoff)──────────────────┤
               └────────────────────────────────────────────────┘
"""

import logging
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

from istio_templates.errors import TidegateError
from k8s_manager.runtime.backoff import Backoff, RestartPauses
from k8s_manager.runtime.clock import Clock
from k8s_manager.runtime.effects.lane import Effects, earliest
from k8s_manager.runtime.hold_off import hold_off

log = logging.getLogger(__name__)
REQUEUE = Backoff(1.0, 5.0)
Item = TypeVar("Item")
Outcome = TypeVar("Outcome")
Pass = Callable[[], Awaitable[float | None]]
"""One pass. Returns when the next is due without a trigger (seconds of the clock); None: at the next trigger."""
Report = Callable[[bool, float], None]
"""Takes whether a pass succeeded, and how many seconds it took."""


@dataclass(frozen=True, slots=True)
class Cadence:
    """A pass begins `quiet` seconds after the last trigger and at most `longest` after the first."""

    quiet: float = 0.0
    longest: float = 0.0


async def control_loop(
    name: str,
    one_pass: Pass,
    effects: Effects,
    cadence: Cadence,
    clock: Clock,
    backoff: Backoff = REQUEUE,
    report: Report | None = None,
) -> None:
    """Run pass after pass until cancelled; no error ends the loop, and what it has under way ends with it.

    A pass begins when `effects.wake` is set, when the last pass said that the next is due, and when a failed effect is.
    """
    due: float | None = None
    pauses = RestartPauses(backoff, backoff.longest)
    try:
        while True:
            await hold_off(effects.wake, cadence.quiet, cadence.longest, clock, due)
            started = clock.now()
            failed = False
            try:
                due = earliest([await one_pass(), effects.end_pass(started)])
                pauses.begin(started)
            except Exception as error:
                failed = True
                due = clock.now() + pauses.fail(clock.now(), error)
                _log(name, error, due - clock.now())
            if report:
                report(not failed, clock.now() - started)
    finally:
        await effects.close()


def each(what: str, items: Iterable[Item], decide: Callable[[Item], Outcome]) -> dict[Item, Outcome]:
    """Return what is decided of each; one for which that fails unforeseen is left out, logged, and stops no other."""
    found: dict[Item, Outcome] = {}
    for item in items:
        try:
            found[item] = decide(item)
        except Exception:
            log.exception("%s: nothing is decided of %s; it stays as it is", what, item)
    return found


async def poll(
    name: str, one_pass: Callable[[], Awaitable[None]], pause: float, clock: Clock, effects: Effects
) -> None:
    """Run a pass at once and another after each pause of so many seconds, until cancelled."""
    effects.wake.set()

    async def then_pause() -> float:
        await one_pass()
        return clock.now() + pause

    await control_loop(name, then_pause, effects, Cadence(), clock)


def _log(name: str, error: Exception, pause: float) -> None:
    """Log a failed pass; only an unforeseen error with its traceback."""
    foreseen = isinstance(error, TidegateError)
    log.log(
        logging.WARNING if foreseen else logging.ERROR,
        "%s: a pass failed (%s); it is repeated in %.1f s",
        name,
        error or type(error).__name__,
        pause,
        exc_info=None if foreseen else error,
    )
