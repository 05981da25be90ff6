"""What a plan says of limits is what then happens: generated changes, planned first and then carried out.

The loop is the manager's own, without an API server: documents and slots stand in a store that the test writes, and a
clock that the test sets goes past every debounce.
"""

import asyncio
import copy
import random
from datetime import UTC, datetime, timedelta

import pytest

from istio_templates.catalog import render_slot
from istio_templates.documents import parse
from istio_templates.envoy_filter import limits_of
from istio_templates.facts import ObjectKey, SlotFacts
from istio_templates.names import identity
from k8s_manager.admission.admit import Admitter
from k8s_manager.admission.rules.warmup_rules import PlanChecks
from k8s_manager.gather.world_reader import WorldReader
from k8s_manager.kube.store import Store
from k8s_manager.limits.limit_change import limit_changes
from k8s_manager.limits.observer import LimitObserver
from k8s_manager.limits.prometheus_replicas import SampleLoop
from k8s_manager.limits.shadow_counts import ShadowCounts
from k8s_manager.limits.slot_rollback import SlotRollbacks
from k8s_manager.pipeline.figures import Figures
from k8s_manager.pipeline.plan import Planner
from k8s_manager.preview.effects import effects, outlook_line, subject_of
from k8s_manager.preview.forecast import LimitForecaster, PlannedState
from k8s_manager.preview.preview import preview_deletion, preview_writes
from k8s_manager.preview.risk import highest
from k8s_manager.reconcile import KINDS
from k8s_manager.runtime.settings import Settings
from k8s_manager.traffic.resolver import TrafficResolver
from k8s_manager.world.world import Stored
from ratelimiter import controller
from tests.support.documents import gateway, labels, model, tenant

START = datetime(2026, 1, 1, tzinfo=UTC)
RANKER = identity("search", "ranker")
PODS = {"shared": 2, "other": 3}
"""How many pods each gateway has."""
CHANGES = 25
"""Of each of the seeds below."""


class SetClock:
    """A clock that the test sets."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def now(self) -> float:
        return self.seconds

    def utc(self) -> datetime:
        return START + timedelta(seconds=self.seconds)


class Loop:
    """The manager's decisions over a store, without anything that talks to others."""

    def __init__(self) -> None:
        self.clock = SetClock()
        self.store, self.numbers = Store(KINDS, self.clock), 0
        for kind in KINDS:
            self.store.replace(kind, [])
        self.settings, changed = Settings(stale_after=1e9), asyncio.Event()
        self.samples = SampleLoop(None, self.clock, self.settings, changed)
        self.counts = ShadowCounts(self.clock, changed)
        self.reader, self.traffic = WorldReader(self.store), TrafficResolver(0.0)
        self.checks = PlanChecks()
        self.admitter, self.planner = Admitter(self.checks), Planner()
        self.observer = LimitObserver(self.store, self.clock, self.settings, self.samples, self.counts, SlotRollbacks())
        self.state = controller.LimitState()
        for place in PODS:
            self.put({"kind": "Namespace", "metadata": {"name": f"{place}-gw", "labels": {}}})
        ours = {"tidegate.dev/tenant": "search", "app.kubernetes.io/managed-by": "tidegate"}
        self.put({"kind": "Namespace", "metadata": {"name": "search", "labels": ours}})
        for place, count in PODS.items():
            for _ in range(count):
                self.pod(f"{place}-gw", {"istio": place})

    def put(self, obj: dict) -> None:
        self.numbers += 1
        known = self.store.get(ObjectKey(obj["kind"], obj["metadata"].get("namespace", ""), obj["metadata"]["name"]))
        uid = known["metadata"]["uid"] if known else f"uid-{self.numbers}"
        metadata = {**obj["metadata"], "uid": uid, "resourceVersion": str(self.numbers), "generation": self.numbers}
        metadata["creationTimestamp"] = "2026-01-01T00:00:00Z"
        self.store.put({**copy.deepcopy(obj), "metadata": metadata})

    def pod(self, namespace: str, carried: dict) -> None:
        status = {"podIP": "127.0.0.9", "conditions": [{"type": "Ready", "status": "True"}]}
        metadata = {"name": f"pod-{self.numbers}", "namespace": namespace, "labels": carried}
        self.put({"kind": "Pod", "metadata": metadata, "spec": {}, "status": status})

    def world(self):
        return self.traffic.resolve(self.reader.world(), self.clock.utc())

    def settle(self) -> None:
        """Let the loop go on until nothing is to be done, at moments that are further apart than every debounce."""
        for _ in range(12):
            world = self.world()
            plan = self.planner.plan(world, self.admitter.admit(world), {})
            self.observer.follow(plan, Figures())
            seen = self.observer.observe(self.state).seen
            decision, self.state = controller.decide(self.state, seen, self.clock.now())
            for (pool, number), limits in decision.writes.items():
                (slot,) = render_slot(SlotFacts(plan.pools[pool], number, limits))
                self.put(slot)
            before = self.state
            self.state = controller.written(before, decision.writes, self.clock.now())
            for found in limit_changes(seen, before, self.state):
                self.observer.note_change(found)
            self.clock.seconds += 200.0

    def enforced(self, name: str) -> tuple[float | None, str]:
        """Return what stands in the slots of a model over all pods of its gateway: its limit and its mode."""
        found = {
            (float(bucket.rate * PODS[obj["metadata"]["labels"]["tidegate.dev/gateway"]]), mode_of(bucket))
            for obj in self.store.all("EnvoyFilter")
            for key, bucket in limits_of(obj)
            if key == identity("search", name)
        }
        assert len(found) <= 1, found
        return found.pop() if found else (None, "off")

    def planned(self, change: list[dict], deleted: tuple[ObjectKey, ...] = ()) -> tuple[dict, list]:
        """Return the limits and effects that a plan tells."""
        world = self.world()
        proposed = [self.proposed(raw) for raw in change]
        owned, at = self.store.owned, self.clock.utc()
        found = (
            preview_writes(world, proposed, owned, self.checks, at)
            if proposed
            else preview_deletion(world, deleted, None, owned, self.checks, at)
        )
        assert not found.rejected, found.rejected
        now, then = (PlannedState(state.plan, Figures()) for state in found.states)
        forecaster = LimitForecaster(self.observer.copy, self.counts)
        shifts = forecaster.shifts(now, then)
        lines = {subject_of(s.namespace, s.model, s.version): outlook_line(s) for s in shifts}
        return lines, list(effects(shifts, now.plan, then.plan))

    def proposed(self, raw: dict) -> Stored:
        document = parse(raw)
        known = next((s for s in self.world().documents() if s.key == document.key), None)
        uid = known.uid if known else "new"
        return Stored(document.key, uid, 10**6, "2026-01-01T00:00:00Z", False, True, document, ())


def mode_of(bucket) -> str:
    return "enforce" if bucket.enforced == 100 else "ramp" if bucket.enforced else "shadow"


def one_of(rng: random.Random) -> list[dict]:
    """Return documents with some change of what callers may send."""
    limit = {
        "perReplicaQps": rng.choice([5, 20, 33.3, 50]),
        "mode": rng.choice(["enforce", "enforce", "shadow", "ramp", "off"]),
        "ramp": {"over": "24h"},
    }
    if limit["mode"] == "shadow" and rng.random() < 0.5:
        limit["verdict"] = {"refusedAtMost": 1, "over": "1h"}
    limit |= {"floor": rng.choice([1, 7]), "burst": rng.choice(["100ms", "1s"])}
    limit |= {"fallback": {"cold": rng.choice(["hold", "floor", "closed"]), "stale": "hold"}}
    if rng.random() < 0.3:
        limit["ceiling"] = rng.choice([30, 90])
    if rng.random() < 0.3:
        limit["weight"] = rng.choice([1, 3])
    name = rng.choice(["ranker", "other"])
    changed = model(name, rateLimit=limit)
    kind = rng.randrange(4)
    if kind == 0:
        changed["spec"].pop("rateLimit")
    if kind == 1:
        own = {"ceiling": rng.choice([10, 25]), "floor": 1}
        changed["spec"]["versions"][0] |= {"perReplicaQps": rng.choice([8, 60])}
        changed["spec"]["versions"][0] |= {"rateLimit": own} if rng.random() < 0.5 else {}
    ceiling = {"rateLimit": {"ceiling": rng.choice([25, 60, 500])}} if rng.random() < 0.7 else {}
    setting = rng.choice([{"total": 13}, {"perReplicaQps": 3}, {"mode": "off"}, {"mode": "shadow"}, {"action": "floor"},
                          {"action": "unlimited"}, {"action": "freeze"}])  # fmt: skip
    expires = (START + timedelta(days=90)).isoformat(timespec="seconds")
    target = {"tenant": "search"} | ({"model": name} if rng.random() < 0.6 else {})
    override = {
        "apiVersion": "tidegate.dev/v1alpha1",
        "kind": "LimitOverride",
        "metadata": {"name": rng.choice(["a", "b"]), "namespace": "tidegate-system"},
        "spec": {"target": target, "reason": "incident 1", "author": "kim", "expires": expires, **setting},
    }
    return [rng.choice([changed, changed, tenant(gateway={"name": rng.choice([*PODS])}, **ceiling), override])]


def fallen(before: tuple[float | None, str], after: tuple[float | None, str]) -> bool:
    """Tell whether callers may send less, or nothing protects the model any more."""
    return (before[0] is not None and (after[0] is None or after[0] < before[0])) or (
        before[1] in ("enforce", "ramp") and after[1] == "shadow"
    )


@pytest.mark.parametrize("seed", [*range(13), 28, 84, 144])
async def test_the_limit_and_the_risk_of_a_plan_are_what_then_happens(seed):
    rng, loop = random.Random(seed), Loop()
    for document in (*(gateway(name, f"{name}-gw") for name in PODS), tenant(), model(), model("other")):
        loop.put(document)
    for name in ("ranker", "ranker", "other"):
        loop.pod("search", labels(name))
    loop.settle()
    assert loop.enforced("ranker") == (40, "enforce")
    for _ in range(CHANGES):
        before = {name: loop.enforced(name) for name in ("ranker", "other")}
        change, deleted = one_of(rng), ()
        overrides = [ObjectKey("LimitOverride", "tidegate-system", name) for name in ("a", "b")]
        if (present := [key for key in overrides if loop.store.get(key)]) and rng.random() < 0.4:
            change, deleted = [], (rng.choice(present),)
        lines, told = loop.planned(change, deleted)
        for document in change:
            loop.put(document)
        for key in deleted:
            loop.store.drop(loop.store.get(key))
        loop.settle()
        after = {name: loop.enforced(name) for name in ("ranker", "other")}
        for name, was in before.items():
            line = lines.get(f"Model search/{name}")
            planned = (
                (line["after"], line.get("modeAfter", "off" if line["after"] is None else "enforce")) if line else was
            )
            assert planned == after[name] or (planned[0] == pytest.approx(after[name][0]) and planned[1] == after[name][1]), (
                change, deleted, was, planned, after[name],
            )  # fmt: skip
            risk = highest(effect.grade for effect in told if effect.subject == f"Model search/{name}")
            if fallen(was, after[name]):
                assert risk != "low", (change, was, after[name], told)
            if was != after[name]:
                assert any(effect.subject == f"Model search/{name}" for effect in told), (change, was, after[name])
