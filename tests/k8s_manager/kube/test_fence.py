"""A leader whose lease has run out changes nothing, whatever it was about to do."""

import asyncio
from functools import partial

import pytest

from istio_templates.facts import ObjectKey
from k8s_manager.kube.base_version import pinned, write_over
from k8s_manager.kube.errors import Fenced, WriteConflict
from k8s_manager.kube.fence import Fence, FencedClient
from k8s_manager.kube.lease import Lease
from k8s_manager.traces.spans import NO_SPANS
from tests.features.test_drift import Hand

KEY = ObjectKey("ConfigMap", "default", "figures")
LEASE = ObjectKey("Lease", "default", "tidegate")


def config(text, **metadata):
    named = {"name": KEY.name, "namespace": KEY.namespace, **metadata}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": named, "data": {"text": text}}


EFFECTS = {
    "apply": lambda client, live: client.apply(config("old"), force=True),
    "create": lambda client, live: client.create(config("old", name="another")),
    "merge": lambda client, live: client.merge(KEY, {"data": {"text": "old"}}),
    "merge a status": lambda client, live: client.merge(KEY, {"status": {"text": "old"}}, "status"),
    "strategic": lambda client, live: client.strategic(KEY, {"data": {"text": "old"}}),
    "replace": lambda client, live: client.replace({**live, "data": {"text": "old"}}),
    "delete": lambda client, live: client.delete(KEY, live["metadata"]["uid"]),
}


@pytest.mark.parametrize("effect", EFFECTS.values(), ids=EFFECTS)
async def test_no_verb_that_changes_something_passes_a_closed_fence(fleet, effect):
    clock = Hand()
    fence = Fence(clock)
    client = FencedClient(fleet.client, fence)
    fence.extend(10.0)
    live = await client.apply(config("new"), force=True)
    clock.at, before = 10.0, fleet.writes()
    with pytest.raises(Fenced, match="lease of this manager has run out"):
        await effect(client, live)
    assert fleet.writes() == before
    assert (await client.get(KEY))["data"] == {"text": "new"}  # reading stays allowed


async def test_a_fence_is_closed_until_the_lease_is_held_and_counts_from_the_start_of_the_renewal(fleet):
    clock = Hand()
    lease = Lease(fleet.client, clock, LEASE, "one", 15.0)
    assert not lease.fence.is_open()
    assert await lease._try()
    assert lease.fence.left == 10.0
    clock.at = 4.0
    assert await lease._try()
    assert lease.fence.left == 10.0
    clock.at = 14.0
    assert not lease.fence.is_open()


async def test_a_renewal_that_was_answered_late_does_not_open_the_fence_again(fleet):
    clock = Hand()

    class Stopped:
        """A client whose process is stopped while the server answers."""

        async def get(self, key):
            return await fleet.client.get(key)

        async def create(self, obj):
            return await fleet.client.create(obj)

        async def replace(self, obj):
            answer = await fleet.client.replace(obj)
            clock.at += 60.0
            return answer

    lease = Lease(Stopped(), clock, LEASE, "one", 15.0)
    assert await lease._try()
    clock.at = 5.0
    assert await lease._try()
    assert not lease.fence.is_open()


async def test_a_lease_that_another_holds_closes_the_fence_at_once(fleet):
    lease = Lease(fleet.client, Hand(), LEASE, "one", 15.0)
    assert await lease._try()
    live = await fleet.client.get(LEASE)
    await fleet.client.merge(LEASE, {"spec": {**live["spec"], "holderIdentity": "thief"}})
    assert not await lease._try()
    assert not lease.fence.is_open()


async def test_a_request_under_way_ends_with_the_lease(fleet):
    class Hanging:
        server, session, spans = "", None, NO_SPANS

        async def call(self, *given):
            await asyncio.Event().wait()

    fence = Fence(Hand())
    fence.extend(0.05)
    with pytest.raises(Fenced, match="ran out meanwhile"):
        await FencedClient(Hanging(), fence).apply(config("old"), force=True)


def same_text(one, other):
    return one["data"] == other["data"]


async def test_an_apply_over_what_another_has_written_since_is_refused(fleet):
    base = await fleet.client.apply(config("first"), force=True)
    await fleet.client.apply(config("second"), force=True)
    with pytest.raises(WriteConflict):
        await write_over(
            fleet.client, base, lambda live: fleet.client.apply(pinned(config("old"), live), True), same_text
        )
    assert (await fleet.client.get(KEY))["data"] == {"text": "second"}


async def test_a_change_that_does_not_matter_is_written_over(fleet):
    base = await fleet.client.apply(config("first"), force=True)
    await fleet.client.merge(KEY, {"metadata": {"annotations": {"another.example.com/note": "x"}}})
    write = partial(_apply, fleet.client, config("second"))
    assert (await write_over(fleet.client, base, write, same_text))["data"] == {"text": "second"}


async def test_an_object_that_was_made_again_is_not_deleted_for_the_one_before(fleet):
    base = await fleet.client.apply(config("first"), force=True)
    await fleet.client.delete(KEY)
    await fleet.client.apply(config("first"), force=True)

    async def delete(live):
        await fleet.client.delete(KEY, live["metadata"]["uid"], live["metadata"]["resourceVersion"])

    with pytest.raises(WriteConflict):
        await write_over(fleet.client, base, delete, same_text)
    assert (await fleet.client.get(KEY))["data"] == {"text": "first"}


async def _apply(client, obj, live):
    return await client.apply(pinned(obj, live), force=True)
