"""A container that restarts in place while the leader is stopped is closed by the manager that does not lead."""

import asyncio
from itertools import pairwise

from istio_templates.workloads.warm_gate import verdict_of
from k8s_manager.kube.client import KubeClient
from k8s_manager.runtime.metrics import REGISTRY
from tests.features.conftest import recorded
from tests.features.test_paused_leader import (
    SECONDS,
    ShiftedClock,
    StoppableClient,
    has_seen_last_renewal,
    one_of_two,
)
from tests.features.test_warmup import Replica, gate_of, tenancy
from tests.support.documents import model
from tests.support.model_server import Cold, model_server
from tests.support.waiting import until
from tests.warmup.plans import plan

DEFAULT_DELAY = 5
CLOSURES = "tidegate_standby_gate_closures_total"


class StandingClock(ShiftedClock):
    """A clock that stands until the test puts it forward: what is done by it takes no time and waits for no moment."""

    def __init__(self):
        super().__init__()
        self.moment = super().now()
        self.stands = True

    def now(self):
        return self.moment + self.ahead if self.stands else super().now()

    def goes_on(self, seconds):
        self.ahead, self.stands = self.ahead + seconds, False


class HeldClient(KubeClient):
    """A transport on which patches that open a gate stop before they are sent, until they are let go."""

    def __init__(self, server, session):
        super().__init__(server, session)
        self.is_holding, self.held, self.released, self.answers = False, 0, asyncio.Event(), []

    async def call(self, method, path, what, query=None, body=None, *more):
        if not (self.is_holding and _opens(body)):
            return await super().call(method, path, what, query, body, *more)
        self.held += 1
        await self.released.wait()
        try:
            answer = await super().call(method, path, what, query, body, *more)
        except Exception as error:
            self.answers.append(error)
            raise
        self.answers.append(answer)
        return answer


def _opens(body):
    conditions = ((body or {}).get("status") or {}).get("conditions") or []
    return any(
        condition.get("status") == "True" and condition["type"].startswith("tidegate.dev") for condition in conditions
    )


def made_by(kind):
    """Return a transport's maker and the list of what it has made."""
    made = []

    def connect(server, session):
        made.append(kind(server, session))
        return made[-1]

    return made, connect


async def gated_model(fleet, port):
    await tenancy(fleet)
    await fleet.apply(model(warmup={"plan": plan(target={"protocol": "oip-rest", "port": port})}))
    await fleet.pod("inference-gw", {"istio": "shared"})


async def takes_over(fleet, manager, clock):
    """Let the Lease of the manager that leads run out, by the clock of another."""
    clock.hurries = True
    await until(lambda: has_seen_last_renewal(fleet, manager), what="the standby seeing the last renewal")
    clock.goes_on(SECONDS + 1)
    await until(manager.lease.fence.is_open, what="the standby to lead")
    clock.hurries = False


async def restart_delay(fleet):
    """Return the seconds after a container's start at which the kubelet begins to ask whether it is ready."""
    deployment = await until(lambda: fleet.get("Deployment", "ranker-v1", "search"), what="the Deployment")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    return container["readinessProbe"]["initialDelaySeconds"]


def closures():
    return REGISTRY.get_sample_value(CLOSURES) or 0


async def test_a_standby_closes_a_gate_before_the_new_container_is_asked_and_the_next_leader_opens_it(fleet):
    made, connect = made_by(StoppableClient)
    clock, first = StandingClock(), ShiftedClock()
    async with fleet.manager(one_of_two("one"), first, connect) as one:
        await gated_model(fleet, 9220)
        replica = await Replica(fleet).start()
        async with (
            model_server(Cold(), replica.address, 9220),
            fleet.manager(one_of_two("two"), clock) as two,
            recorded(fleet, "Pod") as seen,
        ):
            await replica.opens()
            before, began = closures(), clock.now()
            made[0].awake.clear()  # the leader is stopped
            await replica.run("c2")
            await replica.turns("Restarted")
            assert not two.lease.fence.is_open(), "it closes without leading"
            assert clock.now() - began < await restart_delay(fleet) == DEFAULT_DELAY
            assert closures() - before == 1
            await takes_over(fleet, two, clock)
            await replica.opens()
            assert verdict_of(await replica.pod()).container == "process://c2"
            first.ahead = SECONDS + 1
            made[0].wake()
            await fleet.settled()
            assert not one.lease.fence.is_open()
            assert await replica.is_open()
    assert openings(seen, replica) == ["process://c1", "process://c2"]
    assert closures() - before == 1


def openings(seen, replica):
    """Return the containers in the verdicts of the moments at which a replica's gate was opened."""
    states = [pod for pod in seen if pod["metadata"]["name"] == replica.key.name]
    opened = [
        after
        for before, after in pairwise([None, *states])
        if (gate_of(after) or ("",))[0] == "True" and (before is None or (gate_of(before) or ("",))[0] != "True")
    ]
    return [verdict_of(pod).container for pod in opened]


async def test_an_opening_that_was_under_way_when_its_manager_was_stopped_opens_no_other_container(fleet):
    made, connect = made_by(HeldClient)
    async with fleet.manager(connect=connect):
        made[0].is_holding = True
        await gated_model(fleet, 9221)
        replica = await Replica(fleet).start()
        async with model_server(Cold(), replica.address, 9221), recorded(fleet, "Pod") as seen:
            await until(lambda: made[0].held, what="the first container's gate being about to open")
            await replica.run("c2")
            made[0].is_holding = False
            made[0].released.set()
            await until(lambda: made[0].answers, what="the answer to the opening of before")
            await replica.opens()
    assert openings(seen, replica) == ["process://c2"]


async def test_a_gate_that_is_open_over_its_own_container_is_left_alone_by_all(fleet):
    async with fleet.manager(one_of_two("one")), fleet.manager(one_of_two("two")):
        await gated_model(fleet, 9222)
        replica = await Replica(fleet).start()
        async with model_server(Cold(), replica.address, 9222):
            await replica.opens()
        async with recorded(fleet, "Pod") as seen:
            await fleet.client.merge(replica.key, {"metadata": {"labels": {"touched": "yes"}}})
            await fleet.settled()
    assert {gate_of(pod)[0] for pod in seen if pod["metadata"]["name"] == replica.key.name} == {"True"}


async def test_two_managers_that_close_at_once_leave_one_closed_gate_and_no_failed_pass(fleet, caplog):
    async with fleet.manager(one_of_two("one")), fleet.manager(one_of_two("two")):
        await gated_model(fleet, 9223)
        replica = await Replica(fleet).start()
        async with model_server(Cold(), replica.address, 9223):
            await replica.opens()
            async with recorded(fleet, "Pod") as seen:
                for number in range(2, 8):
                    await replica.run(f"c{number}")
                    await until(lambda n=number: _is_open_over(replica, f"process://c{n}"), what="the new container")
    assert openings(seen, replica)[1:] == [f"process://c{n}" for n in range(2, 8)]
    assert not [line for line in caplog.text.splitlines() if "gate" in line and "failed" in line]


async def _is_open_over(replica, container):
    pod = await replica.pod()
    verdict = verdict_of(pod)
    return verdict is not None and verdict.container == container and gate_of(pod)[0] == "True"
