"""Recorded changes that no manager carries on: which they are, and how the leader finishes them."""

import asyncio

from istio_templates.errors import Conflict, Problem
from k8s_manager.runtime.change_recovery import ChangeRecovery
from k8s_manager.runtime.clock import SystemClock
from tests.support.waiting import until


async def _nothing(key: str, record: str) -> None:
    raise AssertionError(f"{key} is not to be finished")


def recovery() -> ChangeRecovery[str, str]:
    return ChangeRecovery("changes", dict, _nothing, SystemClock(), 10.0)


def test_a_change_is_abandoned_when_its_record_stays_as_it_is():
    found = recovery()
    assert found.abandoned({"search": "one"}, 0.0) == {}
    assert found.abandoned({"search": "other"}, 9.0) == {}  # another change has begun
    assert found.abandoned({"search": "other"}, 18.9) == {}
    assert found.abandoned({"search": "other"}, 19.0) == {"search": "other"}
    assert found.abandoned({}, 20.0) == {}
    assert found.abandoned({"search": "other"}, 40.0) == {}  # it was gone meanwhile


def test_a_change_of_this_manager_is_not_abandoned_and_counts_anew_when_it_has_failed():
    found = recovery()
    assert found.abandoned({"search": "one"}, 0.0) == {}
    with found.under_way("search"):
        assert found.abandoned({"search": "one"}, 15.0) == {}
    assert found.abandoned({"search": "one"}, 20.0) == {}
    assert found.abandoned({"search": "one"}, 30.0) == {"search": "one"}


async def test_one_that_cannot_be_finished_does_not_stop_the_next():
    records, tried = {"ads": "one", "search": "two"}, []

    async def finish(key: str, record: str) -> None:
        tried.append((key, record))
        if key == "ads":
            raise Conflict(key, [Problem("", "is in use")])

    found = ChangeRecovery("changes", lambda: records, finish, SystemClock(), 0.0)
    running = asyncio.create_task(found.run())
    await until(lambda: len(tried) >= 2, what="both being tried")
    running.cancel()
    assert tried[:2] == [("ads", "one"), ("search", "two")]
