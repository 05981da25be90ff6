"""R2: histories of events, by a state machine: whatever came, the end is stable, and a manager that starts changes nothing."""

import asyncio
import random
from collections.abc import Iterable
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from tests.faults.injection import Fault, Injector
from tests.faults.run import OVERLAP_SECONDS, SETTINGS, Run
from tests.faults.scenes import with_model
from tests.faults.simulation import SimulatedLoop
from tests.faults.verdict import Verdict
from tests.support.documents import gateway, model, tenant

NAME, AT_LEAST = "R2", 100
TITLE = "5,000 event histories (a state machine, 50 for each plan): stable end, and the next manager writes nothing"
SEQUENCES, SAMPLE_SEQUENCES, STEPS = 50, 3, 8
HEAL_SECONDS, LOOK_SECONDS = OVERLAP_SECONDS + 3.0, 6.0
"""A move between gateways writes nothing for as long as they overlap."""
KINDS = ("Model", "Tenant", "InferenceGateway", "Pod", "VirtualService", "DestinationRule", "EnvoyFilter", "Namespace")
WATCH_FAULTS = ("drop", "repeat", "reorder", "end", "expired", "torn")


def plans(scenes: Iterable[str] = ()) -> list[str]:
    """Return one plan for each seed."""
    return [f"{NAME}/{SEQUENCES}/seed:{seed}" for seed in range(AT_LEAST)]


def sample(chance: random.Random) -> list[str]:
    """Return a plan with few histories."""
    return [f"{NAME}/{SAMPLE_SEQUENCES}/seed:{chance.randrange(1_000_000)}"]


def run(plan: str) -> Verdict:
    """Return what came of a plan."""
    _, sequences, seed = plan.split("/")
    number = int(seed.removeprefix("seed:"))
    machine: Any = type("Seeded", (EventHistory,), {"_hypothesis_internal_use_seed": number})
    given = settings(
        max_examples=int(sequences),
        stateful_step_count=STEPS,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
        print_blob=False,
    )
    try:
        run_state_machine_as_test(machine, settings=given)
    except AssertionError as error:
        return Verdict((str(error), *getattr(error, "__notes__", [])), {"histories of a plan": float(sequences)})
    return Verdict((), {"histories of a plan": float(sequences)})


class EventHistory(RuleBasedStateMachine):
    """A manager beside which documents, pods and objects change, and whose watches go wrong."""

    @initialize()
    def begin(self) -> None:
        self.loop = SimulatedLoop()
        self.play = Run(self.loop, Injector(()), SETTINGS)
        self.cluster = self.play.cluster
        self.tasks = [self.loop.create_task(part) for part in (self.cluster.run_pods(), self.play.keep_running())]
        self.loop.run_until_complete(with_model(self.play))

    @rule(seconds=st.sampled_from([0.01, 0.1, 0.5, 3.0]))
    def wait(self, seconds: float) -> None:
        self.loop.run_until_complete(asyncio.sleep(seconds))

    @rule(rate=st.integers(1, 90), path=st.sampled_from(["a", "b"]))
    def change_model(self, rate: int, path: str) -> None:
        if self._has("Namespace", "search"):
            routes = [{"host": "search.models.example.com", "path": f"/v2/models/{path}", "port": 8080}]
            self.cluster.apply(model(routes=routes, rateLimit={"perReplicaQps": rate}))

    @rule(again=st.booleans())
    def delete_model(self, again: bool) -> None:
        found = self.cluster.get("Model", "ranker", "search")
        if found and "deletionTimestamp" not in found["metadata"]:
            self.cluster.delete("Model", "ranker", "search")
        if again:
            self.loop.run_until_complete(self.play.gone("Model", "ranker", "search"))
            self.cluster.apply(model())

    @rule(place=st.sampled_from(["shared", "other"]), host=st.booleans())
    def change_tenant(self, place: str, host: bool) -> None:
        hosts = [{"name": "search.models.example.com"}, *([{"name": "more.models.example.com"}] if host else [])]
        self.cluster.apply(tenant(gateway={"name": place}, hosts=hosts))

    @rule(port=st.sampled_from([8080, 8081]))
    def change_gateway(self, port: int) -> None:
        more = [{"name": "more", "port": 8081, "protocol": "HTTP"}] if port == 8081 else []
        self.cluster.apply(gateway(listeners=[{"name": "http", "port": 8080, "protocol": "HTTP"}, *more]))

    @rule(number=st.integers(0, 1), ready=st.booleans())
    def change_pod(self, number: int, ready: bool) -> None:
        name = f"ranker-v1-{number}"
        if self.cluster.get("Pod", name, "search"):
            (self.cluster.unready.discard if ready else self.cluster.unready.add)(f"search/{name}")
            self.cluster.set_ready(name, "search", ready)

    @rule(kind=st.sampled_from(["VirtualService", "DestinationRule", "Service"]), gone=st.booleans())
    def change_object(self, kind: str, gone: bool) -> None:
        if self._has(kind, "ranker", "search"):
            if gone:
                self.cluster.delete(kind, "ranker", "search")
            else:
                self.cluster.patch(kind, "ranker", "search", {"metadata": {"labels": {"tidegate.dev/model": None}}})

    @rule(kind=st.sampled_from(KINDS), what=st.sampled_from(WATCH_FAULTS))
    def disturb(self, kind: str, what: str) -> None:
        self.play.injector.add(Fault("watch", kind, 1, 1, what))
        self.cluster.break_watches()

    @rule()
    def restart(self) -> None:
        if self.play.transport:
            self.play.transport.cut()
        self.loop.run_until_complete(asyncio.sleep(1.5))

    def teardown(self) -> None:
        if not hasattr(self, "loop"):
            return
        try:
            self.play.injector.is_armed = False
            self.cluster.unready.clear()
            self.cluster.break_watches()
            self.loop.run_until_complete(self._healed())
        finally:
            for task in self.tasks:
                task.cancel()
            self.loop.run_until_complete(asyncio.gather(*self.tasks, return_exceptions=True))
            self.loop.close()

    async def _healed(self) -> None:
        await self.play.settled(HEAL_SECONDS)
        assert not self.play.crashes, self.play.crashes
        before = len(self.cluster.writes)
        if self.play.transport:
            self.play.transport.cut()
        await asyncio.sleep(LOOK_SECONDS)
        later = {change.resource for change in self.cluster.writes[before:]} - {"/events"}
        assert not later, f"a manager that started at the end wrote {', '.join(sorted(later))}"

    def _has(self, kind: str, name: str, namespace: str = "") -> bool:
        found = self.cluster.get(kind, name, namespace)
        return found is not None and "deletionTimestamp" not in found["metadata"]
