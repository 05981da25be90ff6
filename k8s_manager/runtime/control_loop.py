"""The one control loop: a pass at each trigger and whenever one is due; a pass that fails is logged and requeued.

trigger ──> hold_off ──> pass ──(when the next is due)──┐
               ^           └──(error: backoff)──────────┤
               └────────────────────────────────────────┘
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from istio_templates.errors import TidegateError
from k8s_manager.runtime.backoff import Backoff
from k8s_manager.runtime.clock import Clock
from k8s_manager.runtime.hold_off import hold_off

log = logging.getLogger(__name__)
REQUEUE = Backoff(1.0, 5.0)
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
    trigger: asyncio.Event,
    cadence: Cadence,
    clock: Clock,
    backoff: Backoff = REQUEUE,
    report: Report | None = None,
) -> None:
    """Run pass after pass until cancelled; no error ends the loop."""
    due: float | None = None
    failures = 0
    while True:
        await hold_off(trigger, cadence.quiet, cadence.longest, clock, due)
        started = clock.now()
        try:
            due = await one_pass()
            failures = 0
        except Exception as error:
            failures += 1
            due = clock.now() + backoff.after(failures)
            _log(name, error, due - clock.now())
        if report:
            report(failures == 0, clock.now() - started)


async def poll(name: str, one_pass: Callable[[], Awaitable[None]], pause: float, clock: Clock) -> None:
    """Run a pass at once and another after each pause of so many seconds, until cancelled."""
    begin = asyncio.Event()
    begin.set()

    async def then_pause() -> float:
        await one_pass()
        return clock.now() + pause

    await control_loop(name, then_pause, begin, Cadence(), clock)


def _log(name: str, error: Exception, pause: float) -> None:
    """Log a failed pass; only what nobody foresaw with its traceback."""
    foreseen = isinstance(error, TidegateError)
    log.log(
        logging.WARNING if foreseen else logging.ERROR,
        "%s: a pass failed (%s); it is repeated in %.1f s",
        name,
        error or type(error).__name__,
        pause,
        exc_info=None if foreseen else error,
    )
