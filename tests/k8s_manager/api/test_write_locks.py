"""Writes of one document come one after another, others side by side, and deletes alone."""

import asyncio

from istio_templates.documents import parse
from istio_templates.facts import ObjectKey
from k8s_manager.api.concurrency.write_locks import WriteLocks
from tests.support.bounds import hung
from tests.support.documents import model

A, B = ObjectKey("Model", "search", "a"), ObjectKey("Model", "search", "b")
DOCUMENT = parse(model("a"))


async def test_one_document_is_written_by_one_at_a_time_and_others_meanwhile():
    turns, inside, most, together = WriteLocks(), {A: 0, B: 0}, {A: 0, B: 0}, 0

    async def write(key):
        nonlocal together
        async with turns.writing(key):
            inside[key] += 1
            most[key] = max(most[key], inside[key])
            together = max(together, sum(inside.values()))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            inside[key] -= 1

    await asyncio.gather(*(write(key) for key in (A, B) * 20))
    assert most == {A: 1, B: 1} and together == 2


async def test_a_delete_waits_for_what_is_written_and_keeps_the_next_waiting():
    turns, seen = WriteLocks(), []

    async def write(key, name):
        async with turns.writing(key):
            seen.append(f"{name} begins")
            await asyncio.sleep(0.01)
            seen.append(f"{name} ends")

    async def delete():
        async with turns.deleting():
            seen.append("delete begins")
            await asyncio.sleep(0.01)
            seen.append("delete ends")

    first = asyncio.create_task(write(A, "first"))
    await asyncio.sleep(0)
    going = asyncio.create_task(delete())
    await asyncio.sleep(0)
    await asyncio.gather(first, going, write(B, "second"))
    assert seen == ["first begins", "first ends", "delete begins", "delete ends", "second begins", "second ends"]


async def test_what_failed_or_was_given_up_leaves_nothing_behind():
    turns = WriteLocks()
    for failure in (ValueError, asyncio.CancelledError):
        try:
            async with turns.writing(A):
                turns.reserve(DOCUMENT)
                assert turns.reserved() == {A: DOCUMENT}
                raise failure
        except failure:
            pass
    assert turns.reserved() == {}
    async with asyncio.timeout(hung()), turns.deleting():
        pass


async def test_what_is_promised_is_held_until_its_block_ends():
    turns = WriteLocks()
    with turns.promised(DOCUMENT):
        assert turns.reserved() == {A: DOCUMENT}
        async with turns.writing(A):
            turns.reserve(DOCUMENT)
        assert turns.reserved() == {A: DOCUMENT}
    assert turns.reserved() == {}
