"""Retries of a single call, by tenacity and at the pauses of a `Backoff`. Loops requeue instead (`control_loop`)."""

import asyncio
import random
from collections.abc import Callable

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type

from istio_templates.errors import TidegateError
from k8s_manager.runtime.backoff import Backoff
from k8s_manager.runtime.clock import Clock


def retrying(clock: Clock, backoff: Backoff, failed: Callable[[TidegateError], None]) -> AsyncRetrying:
    """Return what repeats a call until it succeeds, after growing, jittered pauses; `failed` is given each failure.

    Only a `TidegateError` is retried.
    """

    async def sleep(seconds: float) -> None:
        await clock.wait(asyncio.Event(), seconds)

    def report(state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        if isinstance(error, TidegateError):
            failed(error)

    return AsyncRetrying(
        sleep=sleep,
        wait=lambda state: jittered(backoff.after(state.attempt_number)),
        retry=retry_if_exception_type(TidegateError),
        before_sleep=report,
    )


def jittered(pause: float) -> float:
    """Return between half and one and a half of a pause, so that many clients do not return in the same moment."""
    return pause * random.uniform(0.5, 1.5)
