"""Which of several managers leads: one at a time, for ever, whatever happens to the others."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from istio_templates.facts import ObjectKey
from k8s_manager.kube.client import KubeClient
from k8s_manager.kube.errors import Unavailable
from k8s_manager.kube.lease import Lease
from k8s_manager.runtime.clock import SystemClock
from tests.support.bounds import hung
from tests.support.waiting import until

KEY = ObjectKey("Lease", "default", "tidegate")
SECONDS = hung() / 20
"""So long that a machine that is as busy as this one renews in time."""


class Candidate:
    """A candidate that tells what it does; its way to the API server can be cut."""

    def __init__(self, fleet, name):
        self.name, self.leads, self.terms = name, False, 0
        self.client = CuttableClient(fleet.client)
        self.lease = Lease(self.client, SystemClock(), KEY, name, SECONDS)

    async def lead(self):
        self.leads, self.terms = True, self.terms + 1
        try:
            await asyncio.Event().wait()
        finally:
            self.leads = False

    async def follow(self):
        await asyncio.Event().wait()

    @asynccontextmanager
    async def running(self):
        task = asyncio.create_task(self.lease.run(self.lead, self.follow))
        try:
            yield self
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


class CuttableClient:
    """The client, until it is cut off: then every call fails like one to a server that is away."""

    def __init__(self, client: KubeClient):
        self._client, self.cut = client, False

    def __getattr__(self, verb):
        async def call(*given):
            if self.cut:
                raise Unavailable(f"{verb}: cut off; it is tried again")
            return await getattr(self._client, verb)(*given)

        return call


async def holder(fleet):
    return (await fleet.client.get(KEY))["spec"]["holderIdentity"]


async def test_one_of_two_leads_and_hands_over_at_once_when_it_ends(fleet):
    a, b = Candidate(fleet, "a"), Candidate(fleet, "b")
    async with b.running():
        async with a.running():
            await until(lambda: a.leads or b.leads, what="a leader")
            assert [a.leads, b.leads].count(True) == 1
            first = "a" if a.leads else "b"
            assert await holder(fleet) == first
        await until(lambda: b.leads, what="b to lead")
        assert await holder(fleet) == "b"


async def test_a_leader_that_is_cut_off_stops_before_another_starts(fleet):
    a, b = Candidate(fleet, "a"), Candidate(fleet, "b")
    both = []
    async with a.running():
        await until(lambda: a.leads, what="a to lead")
        async with b.running():
            a.client.cut = True

            def other_leads():
                both.append(a.leads and b.leads)
                return b.leads

            await until(other_leads, "b to lead")
            assert not a.leads
            assert not any(both)
            a.client.cut = False
            await asyncio.sleep(SECONDS)
            assert b.leads and not a.leads
            assert (await fleet.client.get(KEY))["spec"]["leaseTransitions"] == 1


async def test_a_leader_outlives_a_short_silence_of_the_api_server(fleet):
    a = Candidate(fleet, "a")
    async with a.running():
        await until(lambda: a.leads, what="a to lead")
        a.client.cut = True
        await asyncio.sleep(SECONDS / 4)
        a.client.cut = False
        await asyncio.sleep(SECONDS)
        assert a.leads and a.terms == 1


async def test_a_lease_that_somebody_else_took_is_lost_at_once(fleet):
    a = Candidate(fleet, "a")
    async with a.running():
        await until(lambda: a.leads, what="a to lead")
        live = await fleet.client.get(KEY)
        await fleet.client.merge(KEY, {"spec": {**live["spec"], "holderIdentity": "thief", "leaseDurationSeconds": 60}})
        await until(lambda: not a.leads, what="a to stop")
        assert await holder(fleet) == "thief"


async def test_what_the_work_raises_is_not_swallowed(fleet):
    a = Candidate(fleet, "a")

    async def broken():
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        await a.lease.run(broken, a.follow)
    assert await holder(fleet) == ""
