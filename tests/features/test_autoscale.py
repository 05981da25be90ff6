"""Versions with `autoscale`: demand moves replicas, warm replicas move the limit; in simulated time."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import asynccontextmanager
from fractions import Fraction

import pytest

from istio_templates.envoy_filter import limits_of
from istio_templates.facts import ObjectKey
from k8s_manager.runtime.metrics import REGISTRY
from tests.support.demand import SetDemand
from tests.support.direct_api import SETTINGS, Cluster, Fault, managed
from tests.support.documents import NAMESPACE, gateway, labels, model, tenant
from tests.support.simulated import simulate
from tests.support.waiting import until

METRICS = ("replicas", "ratio", "signals_missing", "limited")
EACH = 20
STARTS, WARMS = 5, 25
AUTOSCALED = {"min": 2, "max": 8, "signals": [{"name": "demand", "target": "80%"}]}
KEY = ObjectKey("Deployment", "search", "ranker-v1")


class Node:
    """Pods that follow the Deployment: each is there after its start, and ready after its warm-up."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster, self._pods, self._number = cluster, dict[str, float](), 0
        self.seen: list[int] = []

    async def run(self) -> None:
        while True:
            wanted = replicas(self._cluster)
            self.seen.append(wanted)
            now = asyncio.get_running_loop().time()
            while len(self._pods) < wanted:
                self._number += 1
                self._pods[f"ranker-{self._number}"] = now + STARTS + WARMS
                await self._create(f"ranker-{self._number}")
            for name in list(self._pods)[wanted:]:
                del self._pods[name]
                await self._cluster.client.delete(ObjectKey("Pod", "search", name))
            for name, ready in self._pods.items():
                if ready <= now:
                    await self._set_ready(name)
            await asyncio.sleep(1)

    async def _create(self, name: str) -> None:
        metadata = {"name": name, "namespace": "search", "labels": labels()}
        await self._cluster.client.create({"kind": "Pod", "metadata": metadata, "spec": {}})

    async def _set_ready(self, name: str) -> None:
        key, ready = ObjectKey("Pod", "search", name), {"conditions": [{"type": "Ready", "status": "True"}]}
        found = self._cluster.find("Pod", name, "search") or {}
        if not (found.get("status") or {}).get("conditions"):
            await self._cluster.client.merge(key, {"status": ready}, "status")


def replicas(cluster: Cluster) -> int:
    found = cluster.find("Deployment", KEY.name, KEY.namespace)
    return found["spec"].get("replicas", 1) if found else 0


def limit(cluster: Cluster) -> Fraction:
    """Return the limit in the slots, over the one gateway pod."""
    slots = [obj for name, obj in cluster.state().items() if name.startswith("EnvoyFilter")]
    return sum((bucket.rate for slot in slots for _, bucket in limits_of(slot)), Fraction(0))


def condition(cluster: Cluster, kind: str) -> tuple[str, str, str]:
    found = cluster.find("Model", "ranker", "search")["status"]["conditions"]
    return next(((one["status"], one["reason"], one["message"]) for one in found if one["type"] == kind), ("", "", ""))


def scaled(**autoscale: object) -> dict:
    version = {"name": "v1", "workload": {"image": "example.com/ranker:1"}, "autoscale": {**AUTOSCALED, **autoscale}}
    return model(versions=[version])


@asynccontextmanager
async def serving(load: SetDemand, document: Mapping[str, object] | None = None):
    async with managed(SETTINGS, signals=load) as cluster:
        await cluster.apply(NAMESPACE, gateway(), tenant())
        await cluster.pod("gw", "inference-gw", {"istio": "shared"})
        await asyncio.sleep(3)
        await cluster.apply(document or scaled())
        node = Node(cluster)
        running = asyncio.create_task(node.run())
        await asyncio.sleep(60)
        try:
            yield cluster, node
        finally:
            running.cancel()


def run(check: Callable, load: SetDemand, document: Mapping[str, object] | None = None) -> None:
    async def main() -> None:
        async with serving(load, document) as (cluster, node):
            await check(cluster, node)

    simulate(main())


def test_refused_demand_brings_replicas_and_they_raise_the_limit():
    load = SetDemand(20.0)

    async def check(cluster: Cluster, node: Node) -> None:
        assert (replicas(cluster), limit(cluster)) == (2, 40)
        load.demand = 100.0
        await asyncio.sleep(15 + 2)
        assert replicas(cluster) == 6
        assert limit(cluster) == 40  # nothing is admitted for replicas that are not warm
        await asyncio.sleep(STARTS + WARMS + 10)
        assert limit(cluster) == 120
        load.demand = 20.0
        await asyncio.sleep(280)
        assert replicas(cluster) == 6  # the window of scaleDown
        await asyncio.sleep(700)
        assert (replicas(cluster), limit(cluster)) == (2, 40)
        assert [count for count, after in zip(node.seen, node.seen[1:], strict=False) if count != after][-3:] == [
            2,
            6,
            3,
        ]

    run(check, load)


def test_what_was_computed_from_what_stands_in_the_status_and_in_the_metrics():
    """Term by term: 100/s for six warm replicas at 80 % of 20/s, and a queue that argues for less."""
    queue = {"name": "queue", "prometheus": "sum(waiting)", "target": 5, "guard": False, "weight": 1}

    async def check(cluster: Cluster, node: Node) -> None:
        await asyncio.sleep(100)
        (found,) = cluster.find("Model", "ranker", "search")["status"]["autoscale"]
        demand = {"name": "demand", "target": 16.0, "weight": 0.0, "guard": True, "value": 100.0, "ratio": 1.042}
        waiting = {"name": "queue", "target": 5.0, "weight": 1.0, "guard": False}
        assert [one for one in found["signals"] if one["name"] == "demand"] == [demand]
        assert [one for one in found["signals"] if one["name"] == "queue"] == [
            {**waiting, "missing": "nothing fresh was read"}
        ]
        assert (found["replicas"], found["current"], found["warm"]) == (6, 6, 6)
        assert (found["ratio"], found["need"], found["writer"]) == (1.042, 6.25, "tidegate")
        labels = {"namespace": "search", "model": "ranker", "version": "v1"}
        values = [REGISTRY.get_sample_value(f"tidegate_autoscale_{name}", labels) for name in METRICS]
        assert values == [6, pytest.approx(100 / 96), 1, 0]

    run(check, SetDemand(100.0), scaled(signals=[{"name": "demand"}, queue]))


def test_a_new_version_begins_with_its_least_number():
    async def check(cluster: Cluster, node: Node) -> None:
        assert replicas(cluster) == 3
        assert max(node.seen) == 3

    run(check, SetDemand(1.0), scaled(min=3))


def test_without_a_signal_the_replicas_stay():
    load = SetDemand(100.0)

    async def check(cluster: Cluster, node: Node) -> None:
        assert replicas(cluster) == 6
        load.demand = None
        await asyncio.sleep(1_000)
        assert replicas(cluster) == 6
        assert condition(cluster, "ScalingActive") == (
            "False",
            "NoSignal",
            "no signal of version v1 can be read, its 6 replicas stay: demand: no collector answers",
        )
        load.demand = 100.0
        await asyncio.sleep(30)
        assert condition(cluster, "ScalingActive")[:2] == ("True", "Following")

    run(check, load)


def test_a_demand_beyond_max_is_a_condition():
    async def check(cluster: Cluster, node: Node) -> None:
        assert replicas(cluster) == 8
        status, reason, message = condition(cluster, "ScalingLimited")
        assert (status, reason) == ("True", "AtMost")
        assert message == "version v1 needs 62.5 replicas, and max is 8; raise max"

    run(check, SetDemand(1_000.0))


def test_no_more_replicas_than_the_quota_bears():
    load = SetDemand(20.0)
    small = {"requests": {"cpu": "500m"}}
    version = {"name": "v1", "workload": {"image": "example.com/ranker:1", "resources": small}, "autoscale": AUTOSCALED}

    async def check(cluster: Cluster, node: Node) -> None:
        key = ObjectKey("ResourceQuota", "search", "all")
        await cluster.client.create({"kind": "ResourceQuota", "metadata": {"name": key.name, "namespace": "search"}})
        room = {"hard": {"requests.cpu": "2", "pods": "100"}, "used": {"requests.cpu": "1", "pods": "2"}}
        await cluster.client.merge(key, {"status": room}, "status")
        await cluster.client.merge(KEY, {"status": {"replicas": 2, "updatedReplicas": 2}}, "status")
        await asyncio.sleep(60)
        load.demand = 100.0
        await asyncio.sleep(60)
        assert replicas(cluster) == 4
        status, reason, message = condition(cluster, "ScalingLimited")
        assert (status, reason) == ("True", "Quota")
        assert "bears 4" in message
        more = {"hard": {"requests.cpu": "8"}, "used": {"requests.cpu": "2", "pods": "4"}}
        await cluster.client.merge(key, {"status": more}, "status")
        await cluster.client.merge(KEY, {"status": {"replicas": 4, "updatedReplicas": 4}}, "status")
        await asyncio.sleep(60)
        assert replicas(cluster) == 6

    run(check, load, model(versions=[version]))


def test_a_version_that_another_autoscaler_scales_is_left_alone():
    load = SetDemand(20.0)

    async def check(cluster: Cluster, node: Node) -> None:
        target = {"kind": "Deployment", "name": KEY.name}
        metadata = {"name": "theirs", "namespace": "search"}
        spec = {"scaleTargetRef": target, "maxReplicas": 5}
        await cluster.apply({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": metadata,
                             "spec": spec})  # fmt: skip
        load.demand = 100.0
        await asyncio.sleep(60)
        assert replicas(cluster) == 2
        status, reason, message = condition(cluster, "ScalingActive")
        assert (status, reason) == ("False", "ForeignAutoscaler")
        assert "theirs" in message
        await cluster.client.delete(ObjectKey("HorizontalPodAutoscaler", "search", "theirs"))
        await asyncio.sleep(30)
        assert replicas(cluster) == 6

    run(check, load)


def test_a_number_of_another_hand_is_where_the_next_decision_begins():
    async def check(cluster: Cluster, node: Node) -> None:
        await cluster.client.merge(KEY, {"spec": {"replicas": 5}})
        await asyncio.sleep(100)
        assert replicas(cluster) == 5
        await asyncio.sleep(600)
        assert replicas(cluster) == 2

    run(check, SetDemand(20.0))


def test_nothing_goes_while_a_rollout_is_under_way():
    load = SetDemand(100.0)

    async def progress(cluster: Cluster, updated: int) -> None:
        await cluster.client.merge(KEY, {"status": {"replicas": 6, "updatedReplicas": updated}}, "status")

    async def check(cluster: Cluster, node: Node) -> None:
        await progress(cluster, 5)
        load.demand = 20.0
        await asyncio.sleep(1_000)
        assert replicas(cluster) == 6
        assert cluster.find("Model", "ranker", "search")["status"]["autoscale"][0]["holds"] == ["Releasing"]
        await progress(cluster, 6)
        await asyncio.sleep(30)
        assert replicas(cluster) == 3

    run(check, load)


def test_a_write_that_fails_is_tried_again_and_shown():
    load = SetDemand(20.0)

    async def check(cluster: Cluster, node: Node) -> None:
        fault = Fault("PATCH", r"deployments/ranker-v1/scale$", times=1000, status=503)
        cluster.session.faults.append(fault)
        load.demand = 100.0
        await asyncio.sleep(60)
        assert replicas(cluster) == 2
        status, reason, message = condition(cluster, "ScalingActive")
        assert (status, reason) == ("False", "WriteFailed")
        assert "ranker-v1" in message
        cluster.session.faults.remove(fault)
        await asyncio.sleep(90)
        assert replicas(cluster) == 6
        assert condition(cluster, "ScalingActive")[:2] == ("True", "Following")

    run(check, load)


def test_the_replicas_stay_when_autoscale_comes_and_goes():
    load = SetDemand(100.0)

    async def check(cluster: Cluster, node: Node) -> None:
        assert replicas(cluster) == 6
        await cluster.apply(model(versions=[{"name": "v1", "workload": {"image": "example.com/ranker:1"}}]))
        await asyncio.sleep(30)
        assert "autoscale" not in cluster.find("Model", "ranker", "search")["status"]
        await cluster.apply(
            model(versions=[{"name": "v1", "workload": {"image": "example.com/ranker:1", "replicas": 6}}])
        )
        await asyncio.sleep(30)
        await cluster.apply(scaled())
        await asyncio.sleep(30)
        assert set(node.seen[60:]) == {6}

    run(check, load)


def test_figures_that_move_are_no_write_each():
    load = SetDemand(20.0)

    async def check(cluster: Cluster, node: Node) -> None:
        await asyncio.sleep(60)
        before = cluster.writes()
        for turn in range(40):
            load.demand = 20.0 + turn / 100
            await asyncio.sleep(15)
        statuses = {path: count for (_, path), count in (cluster.writes() - before).items()}
        assert set(statuses) <= {"/apis/tidegate.dev/v1alpha1/namespaces/search/models/ranker/status"}
        assert sum(statuses.values()) <= 11

    run(check, load)


async def test_the_rest_api_says_how_many_there_are_and_why(fleet):
    await fleet.apply(NAMESPACE, gateway(), tenant())
    async with fleet.manager() as manager, fleet.rest(manager) as rest:
        await until(lambda: fleet.get("Namespace", "search"), what="the namespace")
        await fleet.apply(scaled())
        path = "/v1/tenants/search/models/ranker"
        answer = await until(lambda: explained(rest, path), what="the decision")
        (version,) = answer["versions"]
        assert (version["replicas"], version["min"], version["max"], version["writer"]) == (2, 2, 8, "tidegate")
        (signal,) = version["signals"]
        assert (signal["name"], signal["target"], signal["guard"]) == ("demand", 16.0, True)
        assert "value" not in signal and signal["missing"]
        assert "It asks for 2 replicas." in answer["explanation"]
        status, body = await rest.call("PUT", f"{path}/versions/v1/scale", {"replicas": 4})
        assert (status, body["problems"][0]["field"]) == (409, "replicas")
        assert "min and max" in body["problems"][0]["message"]
        status, ended = await rest.call("DELETE", f"{path}/versions/v1/autoscale")
        (version,) = ended["spec"]["versions"]
        assert (status, version["workload"]["replicas"], version.get("autoscale")) == (200, 2, None)
        _, again = await rest.call("DELETE", f"{path}/versions/v1/autoscale")
        assert again["spec"] == ended["spec"]
        status, wrong = await rest.call("PUT", f"{path}/versions/v1/autoscale", {"min": 4, "max": 3})
        assert (status, wrong["problems"][0]["message"][:15]) == (422, "min 4 and max 3")
        status, begun = await rest.call("PUT", f"{path}/versions/v1/autoscale", {"min": 2, "max": 3})
        (version,) = begun["spec"]["versions"]
        assert (status, version["autoscale"]) == (200, {"min": 2, "max": 3})
        assert "replicas" not in version["workload"]
        await fleet.apply(model("plain"))
        other = "/v1/tenants/search/models/plain"
        await until(lambda: found(rest, other), what="the other model")
        _, plain = await rest.call("GET", f"{other}/explain?about=replicas")
        assert (plain["mode"], plain["versions"]) == ("off", [])


async def found(rest, path):
    status, body = await rest.call("GET", path)
    return body if status == 200 else None


async def explained(rest, path):
    answer = await found(rest, f"{path}/explain?about=replicas")
    return answer if answer and [one["current"] for one in answer["versions"]] == [2] else None
