"""The one control loop: passes at triggers and when they are due, and requeues of what fails."""

import asyncio
from itertools import pairwise

import pytest

from k8s_manager.kube.errors import Unavailable
from k8s_manager.runtime.backoff import Backoff
from k8s_manager.runtime.control_loop import Cadence, control_loop, each, poll
from k8s_manager.runtime.effects.lane import Effects


class Clock:
    """A clock that jumps to whatever is waited for."""

    def __init__(self):
        self.moment, self.trigger_at = 100.0, None

    def now(self):
        return self.moment

    async def wait(self, event, seconds):
        if event.is_set():
            return True
        if self.trigger_at is not None and (seconds is None or self.trigger_at <= self.moment + seconds):
            self.moment, self.trigger_at = self.trigger_at, None
            event.set()
            return True
        assert seconds is not None, "nothing is due, and no trigger comes"
        self.moment += seconds
        return False


class Passes:
    """Passes that answer in turn, and the moments at which they began; the last one ends the loop."""

    def __init__(self, clock, *answers):
        self.clock, self.answers, self.began, self.reports = clock, list(answers), [], []

    async def __call__(self):
        self.began.append(self.clock.moment)
        if not self.answers:
            raise asyncio.CancelledError
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def report(self, succeeded, _):
        self.reports.append(succeeded)


async def begun(passes, cadence=Cadence(), **given):  # noqa: B008
    """Return the moments at which passes began; the first is triggered at once."""
    trigger = asyncio.Event()
    trigger.set()
    with pytest.raises(asyncio.CancelledError):
        await control_loop("test", passes, Effects(passes.clock, trigger), cadence, passes.clock, **given)
    return passes.began


async def test_a_pass_begins_when_it_is_due_without_a_trigger():
    assert await begun(Passes(Clock(), 130.0, 131.0)) == [100.0, 130.0, 131.0]


async def test_a_trigger_is_held_off_until_it_is_quiet():
    clock = Clock()
    clock.trigger_at = 110.0
    assert await begun(Passes(clock, None), Cadence(2.0, 5.0)) == [102.0, 112.0]


async def test_what_fails_is_requeued_after_growing_pauses_and_health_begins_them_again():
    passes = Passes(Clock(), *[ValueError("no"), Unavailable("away")] * 2, 150.0, ValueError("no"), 200.0)
    moments = await begun(passes, backoff=Backoff(1.0, 3.0), report=passes.report)
    pauses = [after - before for before, after in pairwise(moments)]
    expected = [1.0, 2.0, 3.0, 3.0]
    assert all(0.5 * one <= pause <= 1.5 * one for pause, one in zip(pauses, expected, strict=False))
    assert moments[5] == 150.0 and 0.5 <= pauses[5] <= 1.5 and moments[7] == 200.0
    assert passes.reports == [False, False, False, False, True, False, True]


async def test_a_pass_that_fails_asks_no_earlier_than_the_server_wishes():
    error = Unavailable("slow down")
    error.after = 30.0
    assert await begun(Passes(Clock(), error)) == [100, 130]


async def test_only_what_nobody_foresaw_is_logged_with_its_traceback(caplog):
    await begun(Passes(Clock(), ValueError("odd"), Unavailable("away")))
    assert [(record.levelname, bool(record.exc_info)) for record in caplog.records] == [
        ("ERROR", True),
        ("WARNING", False),
    ]
    assert "test: a pass failed (away); it is repeated in" in caplog.text


async def test_a_poll_begins_at_once_and_goes_on_after_each_pause():
    passes = Passes(Clock(), None, None)
    with pytest.raises(asyncio.CancelledError):
        await poll("test", passes, 5.0, passes.clock, Effects(passes.clock, asyncio.Event()))
    assert passes.began == [100.0, 105.0, 110.0]


def test_one_of_many_that_fails_is_left_out_and_logged(caplog):
    assert each("halves", [4, 0, 2], lambda number: 8 // number) == {4: 2, 2: 4}
    assert "halves: nothing is decided of 0; it stays as it is" in caplog.text and "ZeroDivisionError" in caplog.text
