"""A watch of the embedded API server tells of no version whose change it has not told."""

import asyncio
import time

from k8s_manager.standalone.apiserver.store import ObjectStore

IDLE_SECONDS = 0.02


async def test_a_silence_that_ends_just_then_is_not_told_before_what_ended_it():
    store, told = ObjectStore(None), []

    async def follow():
        async for change in store.watch("/pods", store.version, IDLE_SECONDS, lambda: len(told) < 3):
            told.append((change.version, change.after))

    following = asyncio.create_task(follow())
    await asyncio.sleep(0)
    pod = {"metadata": {"name": "ranker"}}
    asyncio.get_running_loop().call_later(1.2 * IDLE_SECONDS, store.commit, "/pods", None, pod)
    # A busy process: the silence is over, and a change is committed before the watch says so.
    time.sleep(2 * IDLE_SECONDS)  # noqa: ASYNC251
    await following
    assert [after for _, after in told].count(pod) == 1
    before = told[: [after for _, after in told].index(pod)]
    assert all(version < store.version for version, _ in before), told
