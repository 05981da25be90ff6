"""R5: three managers, of which the leader is killed or stopped and resumed, while clocks jump and limits change."""

import asyncio
import random
from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from functools import cache
from typing import Any, cast

import aiohttp

from istio_templates.facts import ObjectKey
from k8s_manager.kube.client import KubeClient
from k8s_manager.manager import assemble
from k8s_manager.manager import until as run_parts
from tests.faults.cluster import Cluster
from tests.faults.end_state import State, differences, end_state
from tests.faults.injection import WRITES, Injector
from tests.faults.oracle import SHOWN
from tests.faults.processes import ProcessLoop, start_process
from tests.faults.run import DEMAND, SETTINGS
from tests.faults.scenes import VERSIONS
from tests.faults.simulation import SimulatedClock, Stuck, simulate, until
from tests.faults.transport import Answer, Request, Transport
from tests.faults.verdict import Verdict
from tests.support.documents import gateway, model, tenant
from tests.support.steady_outcomes import SteadyOutcomes

ROUNDS, DOES = 4, ("kill", "stop", "jump")
NAME, AT_LEAST, SAMPLE = "R5", 100 // ROUNDS, 1
TITLE = "Three managers: leaders killed, stopped and resumed, clocks jumped; no stale write, takeover in 20 s"
LEASE = ObjectKey("Lease", "tidegate-system", "tidegate")
IDENTITIES = ("first", "second", "third")
TAKEOVER_SECONDS = 20.0
SHIFTED = [{"version": "v1", "weight": 50}, {"version": "v2", "weight": 50}]
LAST_RATE, END_SECONDS = 77, 60.0


def plans(scenes: Iterable[str] = ()) -> list[str]:
    """Return the plans: each is a seed, with several rounds."""
    return [f"{NAME}/seed:{seed}" for seed in range(AT_LEAST + 1)]


def run(plan: str) -> Verdict:
    """Return what came of a plan."""
    seed = int(plan.rpartition(":")[2])
    state, wrong, slowest = simulate(lambda loop: _rounds(loop, random.Random(seed)), seed, ProcessLoop)
    if slowest > TAKEOVER_SECONDS:
        wrong.append(f"a takeover took {slowest:.1f} s")
    unlike = [] if wrong else differences(_undisturbed(), state)
    return Verdict((*wrong, *unlike[:SHOWN]), {"seconds to a takeover": slowest})


class _Watched(Transport):
    """A transport that notes what its manager wrote while another led."""

    def __init__(self, cluster: Cluster, name: str, stale: list[str]) -> None:
        super().__init__(cluster, Injector(()))
        self._name, self._stale = name, stale
        self.stops_in: int | None = None

    async def _carried_out(self, request: Request) -> Answer:
        verb, kind = request.place
        answer = await super()._carried_out(request)
        leader = leader_of(self._cluster)
        is_write = verb in WRITES and kind not in ("Lease", "Event") and not request.query.get("dryRun")
        if is_write and answer.status < 300 and leader not in ("", self._name):
            self._stale.append(f"{self._name} wrote {request.method} {request.path} while {leader} led")
        if is_write and self.stops_in is not None:
            self.stops_in -= 1
            if self.stops_in <= 0:
                await self._stop()
        return answer

    async def _stop(self) -> None:
        """Stop the process before it knows what has become of its write."""
        self.stops_in = None
        cast(ProcessLoop, self._cluster.loop).stop_process(self._name)
        await asyncio.sleep(0)


def leader_of(cluster: Cluster) -> str:
    """Return who holds the lease."""
    lease = cluster.get("Lease", LEASE.name, LEASE.namespace) or {}
    return str(lease.get("spec", {}).get("holderIdentity") or "")


class _Managers:
    """The managers, each a process."""

    def __init__(self, loop: ProcessLoop, cluster: Cluster) -> None:
        self.loop, self.cluster = loop, cluster
        self.stale: list[str] = []
        self.clocks = {name: SimulatedClock(loop) for name in IDENTITIES}
        self._running: dict[str, tuple[asyncio.Task[Any], _Watched]] = {}

    def start(self, name: str) -> None:
        transport = _Watched(self.cluster, name, self.stale)
        client = KubeClient("http://cluster", cast(aiohttp.ClientSession, transport))
        settings = replace(SETTINGS, identity=name, lease=LEASE[1:])
        clock = self.clocks[name]
        manager = assemble(client, clock, settings, signals=DEMAND, outcomes=SteadyOutcomes(clock))
        self._running[name] = start_process(name, lambda: run_parts(transport.died, *manager.parts())), transport

    async def stop(self, name: str, writes: int) -> None:
        """Stop a process after so many of its writes, or after a second."""
        transport = self._running[name][1]
        transport.stops_in = writes
        await asyncio.sleep(1)
        if transport.stops_in is not None:
            transport.stops_in = None
            self.loop.stop_process(name)

    async def kill(self, name: str) -> None:
        task, transport = self._running.pop(name)
        transport.cut()
        self.loop.resume_process(name)
        await asyncio.gather(task, return_exceptions=True)

    async def end(self) -> None:
        for name in list(self._running):
            await self.kill(name)


async def _rounds(loop: ProcessLoop, chance: random.Random) -> tuple[State, list[str], float]:
    """Return the end state, what went wrong, and the longest takeover in seconds."""
    cluster, slowest, state, stuck = Cluster(loop), 0.0, State(), list[str]()
    managers, pods = _Managers(loop, cluster), asyncio.ensure_future(cluster.run_pods())
    try:
        for name in IDENTITIES:
            managers.start(name)
        await _begun(managers)
        for number in range(ROUNDS):
            await asyncio.sleep(chance.uniform(5, 20))
            slowest = max(slowest, await _round(managers, chance, number))
        state = await _ended(cluster)
    except Stuck as error:
        stuck.append(str(error))
    finally:
        await managers.end()
        pods.cancel()
    return state, [*stuck, *managers.stale], slowest


async def _round(managers: _Managers, chance: random.Random, number: int) -> float:
    """Do something to the leader while a limit changes; return the seconds until another one led."""
    cluster, loop = managers.cluster, managers.loop
    await until(lambda: leader_of(cluster) in IDENTITIES, "somebody leading")
    leader, what = leader_of(cluster), chance.choice(DOES)
    for name in IDENTITIES:
        if what == "jump":
            managers.clocks[name].wall = timedelta(hours=chance.choice((-1, 0, 1)))
    cluster.apply(model(rateLimit={"perReplicaQps": 20 + number}))
    await asyncio.sleep(chance.uniform(0, 0.6))
    if what == "jump":
        await asyncio.sleep(chance.uniform(5, 20))
        return 0.0
    began = loop.time()
    if what == "kill":
        await managers.kill(leader)
    else:
        cluster.apply(model(rateLimit={"perReplicaQps": 60 + number}, versions=VERSIONS, traffic=SHIFTED))
        await managers.stop(leader, chance.randint(1, 6))
    cluster.apply(model(rateLimit={"perReplicaQps": 40 + number}))
    await until(lambda: leader_of(cluster) not in ("", leader), "a takeover", 120)
    took = loop.time() - began
    await asyncio.sleep(chance.uniform(0, 10))
    if what == "kill":
        managers.start(leader)
    else:
        loop.resume_process(leader)
    return took


async def _begun(managers: _Managers) -> None:
    cluster = managers.cluster
    for name in ("inference-gw", "tidegate-system"):
        cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    cluster.pod("shared-gw-a", "inference-gw", {"istio": "shared"})
    cluster.apply(gateway(), tenant())
    await until(lambda: cluster.get("Namespace", "search"), "the tenant's namespace")
    cluster.apply(model())


async def _ended(cluster: Cluster) -> State:
    """Change the limit for the last time, and return what stands a minute later, but for the history."""
    cluster.apply(model(rateLimit={"perReplicaQps": LAST_RATE}))
    await asyncio.sleep(END_SECONDS)
    return {name: obj for name, obj in end_state(cluster, {}).items() if not name.startswith("ControllerRevision ")}


@cache
def _undisturbed() -> State:
    """Return the end state of a single manager that nobody disturbed."""

    async def alone(loop: ProcessLoop) -> State:
        cluster = Cluster(loop)
        managers, pods = _Managers(loop, cluster), asyncio.ensure_future(cluster.run_pods())
        managers.start(IDENTITIES[0])
        await _begun(managers)
        state = await _ended(cluster)
        await managers.end()
        pods.cancel()
        return state

    return simulate(alone, 1, ProcessLoop)
