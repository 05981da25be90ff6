"""Long work lets short work go first, and never waits for ever."""

import asyncio

from k8s_manager.runtime.clock import SystemClock
from k8s_manager.runtime.hold_off import RightOfWay
from tests.support.bounds import hung
from tests.support.waiting import until

clock = SystemClock()


async def test_long_work_begins_at_once_where_nothing_is_due_or_only_after_it():
    right = RightOfWay(clock)
    await asyncio.wait_for(right.give_way(3600), hung())
    right.due = clock.now() + 3600
    await asyncio.wait_for(right.give_way(1800), hung())


async def test_long_work_waits_for_what_is_due_in_the_middle_of_it():
    right = RightOfWay(clock)
    right.due = clock.now() + 60
    waiting = asyncio.create_task(right.give_way(3600))
    await asyncio.sleep(0)
    right.passed()  # something else was done; what is due is still to come
    for _ in range(10):
        await asyncio.sleep(0)
    assert not waiting.done()
    right.due = None
    right.passed()
    await until(waiting.done)


async def test_short_work_that_never_comes_does_not_stop_the_long():
    right = RightOfWay(clock)
    right.due = clock.now() - 5
    await asyncio.wait_for(right.give_way(0.01), hung())
    assert right.due is not None
