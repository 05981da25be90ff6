"""Two managers, one pod, and writes that arrive whenever they like: who may open a gate, and who closes it when."""

import asyncio
import copy
from collections import Counter

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from istio_templates.facts import ObjectKey
from istio_templates.workloads.warm_gate import GATE, VERDICT, running_container, verdict_of
from k8s_manager.kube.client import KubeClient
from k8s_manager.kube.errors import WriteConflict
from k8s_manager.kube.fence import Fence, FencedClient
from k8s_manager.kube.store import Store
from k8s_manager.runtime.effects.lane import Effects
from k8s_manager.warmup_gate.gate_closer import GateCloser
from k8s_manager.warmup_gate.pod_gates import PodGates
from tests.support.simulated import SimulatedClock, simulate
from tests.warmup.test_gate import CLAIM, GOOD, LABELS
from warmup import gate
from warmup.gate import GateClosing, GateState
from warmup.pods import gated_pod

KEY = ObjectKey("Pod", "search", "ranker-1")
ROUNDS, LONG = 12, 20.0


class Cluster:
    """The API server's side of one pod: all its versions, and the writes that have been sent and not yet arrived."""

    def __init__(self):
        self.versions, self.in_flight, self.wrong = [], [], []
        self.proved, self.restarts, self.closings = set(), 0, Counter()
        metadata = {"name": KEY.name, "namespace": KEY.namespace, "uid": "u1", "labels": dict(LABELS)}
        self._change({
            "kind": "Pod", "apiVersion": "v1", "metadata": metadata, "status": {"podIP": "10.0.0.1"},
            "spec": {"readinessGates": [{"conditionType": GATE}]},
        })  # fmt: skip
        self.run("c0")

    @property
    def pod(self):
        return self.versions[-1]

    @property
    def is_open(self):
        return gated_pod(self.pod).is_open

    def run(self, container):
        """Let a container run, or none: what the kubelet reports."""
        pod = copy.deepcopy(self.pod)
        state = {"state": {"running": {}}, "containerID": container} if container else {"state": {"waiting": {}}}
        pod["status"]["containerStatuses"] = [{"name": "model", "ready": False, **state}]
        self._change(pod)

    def die(self):
        self.restarts += running_container(self.pod) is not None
        self.run(None)

    def start(self):
        if running_container(self.pod) is None:
            self.run(f"c{self.restarts}")

    def deliver(self, number):
        """Let one of the writes under way arrive."""
        if self.in_flight:
            body, leads, answer = self.in_flight.pop(number % len(self.in_flight))
            found = self._patch(body, leads)
            if answer.done():
                return
            if isinstance(found, Exception):
                answer.set_exception(found)
            else:
                answer.set_result(found)

    def _patch(self, body, leads):
        before, metadata = gated_pod(self.pod), body["metadata"]
        if metadata.get("resourceVersion") not in (None, self.pod["metadata"]["resourceVersion"]):
            return WriteConflict(str(KEY), [])
        pod = copy.deepcopy(self.pod)
        pod["metadata"].setdefault("annotations", {}).update(metadata.get("annotations", {}))
        pod["status"]["conditions"] = body["status"]["conditions"]
        self._change(pod)
        self._check(before, gated_pod(pod), leads)
        return copy.deepcopy(pod)

    def _check(self, before, after, leads):
        if after.is_open and not (after.holds and after.container in self.proved and leads):
            self.wrong.append(f"opened over {after.container}, proved {self.proved}, by the leader: {leads}")
        if not after.is_open and before.is_open and before.holds:
            self.wrong.append(f"closed over {before.container}, which was proved, by the leader: {leads}")
        if not leads:
            self.closings[self.restarts] += 1

    def _change(self, pod):
        pod["metadata"]["resourceVersion"] = str(len(self.versions) + 1)
        self.versions.append(pod)


class Transport(KubeClient):
    """A transport on which writes arrive when the cluster lets them."""

    def __init__(self, cluster, leads):
        self._cluster, self._leads = cluster, leads
        super().__init__("http://cluster", None)

    async def call(self, method, path, what, query=None, body=None, content_type=""):
        answer = asyncio.get_running_loop().create_future()
        self._cluster.in_flight.append((body, self._leads, answer))
        return await answer


class OneManager:
    """A manager with a view of its own: what it sees may be old, and so may be whether it leads."""

    def __init__(self, cluster, clock):
        self.cluster, self.clock, self.seen = cluster, clock, 0
        self.fence, self.leads = Fence(clock), False
        self.store = Store(("Pod",), clock)
        self.effects = Effects(clock, asyncio.Event())
        self.gates = PodGates(FencedClient(Transport(cluster, True), self.fence), self.store, clock, self.effects)
        self.closer = GateCloser(Transport(cluster, False), self.store, clock, self.effects)
        self.state, self.warming, self.tasks = GateState(), None, []

    def see(self, count):
        """Let the watch bring some more versions."""
        for pod in self.cluster.versions[self.seen : self.seen + count]:
            self.store.put(copy.deepcopy(pod))
        self.seen = min(self.seen + count, len(self.cluster.versions))

    async def notice(self):
        """Learn whether it leads; what was under way in the other part ends."""
        if self.leads != self.fence.is_open():
            await self.end()
            self.leads, self.state, self.warming = self.fence.is_open(), GateState(), None

    def look(self):
        """Make a pass, whose writes go on in the background."""
        began, pods = self.clock.now(), [gated_pod(pod) for pod in self.store.all("Pod")]
        if self.leads:
            decision, self.state = gate.decide(self.state, pods, [CLAIM], began)
            self.warming = next((pod for pod, _ in decision.begin), self.warming)
            self.tasks += [asyncio.create_task(self.gates.turn(turn)) for turn in decision.turns]
        else:
            self.tasks.append(asyncio.create_task(self.closer.close(gate.closings(pods, [CLAIM]))))

    def warm(self):
        """Let the warm-up under way pass: its container is proved, whatever runs now."""
        if self.warming is not None:
            pod, self.warming = self.warming, None
            self.cluster.proved.add(pod.container)
            opens = gate.opening(pod, CLAIM, GOOD, "hold", "now")
            self.state = gate.ended(self.state, pod, GOOD, opens, self.clock.now())

    async def end(self):
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        await self.effects.close()
        self.tasks = []


managers = st.integers(0, 1)
actions = st.one_of(
    st.tuples(st.just("die"), st.just(0)),
    st.tuples(st.just("start"), st.just(0)),
    st.tuples(st.just("deliver"), st.integers(0, 3)),
    st.tuples(st.just("lead"), managers),
    st.tuples(st.sampled_from(["see one", "see all", "notice", "look", "warm"]), managers),
)
OPENED = [("see all", 0), ("look", 0), ("deliver", 0), ("warm", 0), ("see all", 0), ("look", 0), ("deliver", 0)]
RESTARTED = [("die", 0), ("start", 0)]
BOTH_CLOSE = [("see all", 0), ("see all", 1), ("look", 1), ("look", 0), ("deliver", 0), ("deliver", 0)]

LATE_CLOSING = [
    *OPENED, *RESTARTED, ("see all", 1), ("look", 1), ("see all", 0), ("look", 0), ("deliver", 1),
    ("warm", 0), ("see all", 0), ("look", 0), ("deliver", 1), ("deliver", 0),
]  # fmt: skip


async def do(cluster, both, action, who):
    match action:
        case "die":
            cluster.die()
        case "start":
            cluster.start()
        case "deliver":
            cluster.deliver(who)
        case "lead":
            both[1 - who].fence.close()
            both[who].fence.extend(float("inf"))
        case "see one":
            both[who].see(1)
        case "see all":
            both[who].see(len(cluster.versions))
        case "notice":
            await both[who].notice()
        case "look":
            both[who].look()
        case "warm":
            both[who].warm()


async def play(steps):
    """Play some steps, then let all that is under way arrive and both managers go on with the newest view."""
    cluster, clock = Cluster(), SimulatedClock()
    both = [OneManager(cluster, clock) for _ in range(2)]
    rounds = [(name, who) for name in ("see all", "notice", "look", "warm") for who in (0, 1)]
    try:
        for action, who in [("lead", 0), ("notice", 0), *steps]:
            await do(cluster, both, action, who)
            await asyncio.sleep(0.01)
        cluster.start()
        for _ in range(ROUNDS):
            for action, who in rounds:
                await do(cluster, both, action, who)
            await asyncio.sleep(LONG)  # failed writes are due again
            while cluster.in_flight:
                cluster.deliver(0)
                await asyncio.sleep(0.01)
    finally:
        for manager in both:
            await manager.end()
    return cluster


@given(st.lists(actions, max_size=60))
@example([*OPENED, *RESTARTED, *BOTH_CLOSE])
@example(LATE_CLOSING)
@example([*OPENED, ("die", 0), ("see all", 1), ("start", 0), ("look", 1), ("lead", 1), ("notice", 1), ("deliver", 0)])
@example([*OPENED[:-1], *RESTARTED, ("lead", 1), ("notice", 1), ("see all", 1), ("look", 1), ("deliver", 0)])
@settings(max_examples=200, deadline=None)
def test_a_gate_opens_for_proved_containers_only_and_a_standby_closes_it_once_for_each_restart(steps):
    cluster = simulate(play(steps))
    assert cluster.wrong == []
    assert all(count <= 1 for count in cluster.closings.values()), cluster.closings
    assert cluster.is_open and verdict_of(cluster.pod).container == running_container(cluster.pod)


def test_a_standby_closes_a_gate_without_any_manager_that_leads():
    cluster = simulate(play([*OPENED, *RESTARTED, ("see all", 1), ("look", 1), ("deliver", 0)]))
    assert (cluster.wrong, cluster.closings) == ([], {1: 1})


@given(reason=st.sampled_from(["Verified", "Released", "Restarted"]), said=st.text(max_size=2000))
def test_what_closes_gates_writes_nothing_but_a_condition_of_status_false_over_a_named_version(reason, said):
    async def close():
        cluster, clock = Cluster(), SimulatedClock()
        manager = OneManager(cluster, clock)
        manager.see(9)
        task = asyncio.create_task(manager.closer.close([GateClosing(gated_pod(cluster.pod), reason, said)]))
        await asyncio.sleep(0.01)
        ((body, _, _),) = cluster.in_flight
        task.cancel()
        await manager.end()
        return body, cluster.pod["metadata"]

    body, metadata = simulate(close())
    (condition,) = body["status"].pop("conditions")
    assert (condition["type"], condition["status"]) == (GATE, "False")
    assert body == {"status": {}, "metadata": {"uid": "u1", "resourceVersion": metadata["resourceVersion"]}}
    assert VERDICT not in str(body)


@pytest.mark.parametrize("change", ["another container", "gone"])
def test_what_is_no_longer_so_is_not_closed(change):
    async def close():
        cluster, clock = Cluster(), SimulatedClock()
        manager = OneManager(cluster, clock)
        manager.see(9)
        decided = GateClosing(gated_pod(cluster.pod), "Restarted", "another container runs")
        if change == "gone":
            manager.store.drop(cluster.pod)
        else:
            cluster.run("c9")
            manager.see(9)
        await manager.closer.close([decided])
        return cluster.in_flight

    assert simulate(close()) == []
