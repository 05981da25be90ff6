import asyncio
import itertools
from dataclasses import replace

import pytest

from istio_templates.facts import ObjectKey
from istio_templates.workloads.warm_gate import GATE, VERDICT
from k8s_manager.kube.errors import Absent
from tests.features.conftest import recorded
from tests.support.bounds import hung
from tests.support.documents import API, gateway, labels, model, tenant
from tests.support.fleet import SETTINGS
from tests.support.model_server import Cold, model_server
from tests.support.waiting import until
from tests.warmup.plans import plan

NUMBERS = itertools.count(20)


class Replica:
    """A pod of which the test plays the kubelet: its container runs, it is ready when its gate is open."""

    def __init__(self, fleet, namespace="search", found=None, gated=True):
        self.fleet, self.gated = fleet, gated
        self.address = f"127.0.7.{next(NUMBERS)}"
        self.key = ObjectKey("Pod", namespace, f"ranker-{self.address.rpartition('.')[2]}")
        self.labels = found or labels()

    async def start(self, container="c1"):
        gates = {"readinessGates": [{"conditionType": GATE}]} if self.gated else {}
        metadata = {"name": self.key.name, "namespace": self.key.namespace, "labels": self.labels}
        await self.fleet.client.create({"kind": "Pod", "metadata": metadata, "spec": {"nodeName": "n1", **gates}})
        await self.run(container)
        return self

    async def run(self, container, ready=False):
        status = {
            "name": "model", "containerID": f"process://{container}", "ready": ready, "started": True, "restartCount": 0,
            "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}},
        }  # fmt: skip
        await self.fleet.client.strategic(
            self.key, {"status": {"podIP": self.address, "containerStatuses": [status]}}, "status"
        )

    async def pod(self):
        return await self.fleet.client.get(self.key)

    async def gate(self):
        return gate_of(await self.pod())

    async def is_open(self):
        return (await self.gate() or ("",))[0] == "True"

    async def opens(self):
        await until(self.is_open, what="the gate to open")
        await self.fleet.client.strategic(
            self.key, {"status": {"conditions": [{"type": "Ready", "status": "True"}]}}, "status"
        )

    async def turns(self, reason, open_=False):
        async def turned():
            return await self.gate() == (str(open_), reason)

        await until(turned, what=f"the gate to be {reason}")


def gate_of(pod):
    """Return status and reason of a pod's gate."""
    conditions = pod.get("status", {}).get("conditions", [])
    return next(((c["status"], c["reason"]) for c in conditions if c["type"] == GATE), None)


async def tenancy(fleet):
    await fleet.apply(gateway(), tenant())
    await until(lambda: fleet.get("Namespace", "search"), what="the tenant's namespace")


async def setup(fleet, port, mode=None, **parts):
    await tenancy(fleet)
    found = plan(**{"target": {"protocol": "oip-rest", "port": port}, **parts})
    await fleet.apply(warmed(found, mode))
    await fleet.pod("inference-gw", {"istio": "shared"})
    return found


def warmed(found, mode=None, **spec):
    warmup = {"plan": found, "restartDelay": "1s", **({"mode": mode} if mode else {})}
    return model(warmup=warmup, rateLimit={"perReplicaQps": 20, "fallback": {"cold": "floor"}}, **spec)


async def limit(fleet):
    return ((await fleet.status("Model", "ranker", "search")).get("limit") or {}).get("total")


async def test_a_replica_opens_when_its_plan_has_been_answered_and_only_then_counts(fleet):
    cold = Cold(slow_calls=10)
    async with fleet.manager() as manager, fleet.rest(manager) as rest:
        port = 9200
        await setup(fleet, port)
        replica = await Replica(fleet).start()
        await replica.turns("Warming")
        await fleet.client.strategic(
            replica.key, {"status": {"conditions": [{"type": "Ready", "status": "False"}]}}, "status"
        )
        async with model_server(cold, replica.address, port):
            await replica.opens()
            pod = await replica.pod()
            assert '"container":"process://c1"' in pod["metadata"]["annotations"][VERDICT]
            assert cold.seen["[[1, 4]]"] >= 15

            async def counted():
                return await limit(fleet) == 20

            await until(counted, what="the warm replica to count")
            warm = await fleet.condition("Model", "ranker", "Warm", "search")
            assert (warm["status"], warm["message"]) == ("True", "all 1 replicas have passed their warm-up plan")
            _, told = await rest.call("GET", "/v1/tenants/search/models/ranker/explain?about=ready")
            assert told["explanation"][1] == "1 of 1 replicas take requests; only those count for the limit."
            assert told["replicas"][0]["state"] == "verified"
            assert told["replicas"][0]["requests"] >= 20


async def test_a_container_that_restarts_is_closed_and_does_not_count_until_it_is_warm_again(fleet):
    cold = Cold()
    async with fleet.manager():
        await setup(fleet, 9201)
        replica = await Replica(fleet).start()
        async with model_server(cold, replica.address, 9201):
            await replica.opens()
            await until(lambda: _is(limit(fleet), 20), what="the limit of one replica")
        async with recorded(fleet, "Pod") as seen:  # a look now and then might miss it
            await replica.run("c2", ready=True)
            await until(lambda: any(gate_of(pod) == ("False", "Restarted") for pod in seen), what="the gate closing")
        await until(lambda: _is(limit(fleet), 1), what="the floor")
        cold_condition = await fleet.condition("Model", "ranker", "Limited", "search")
        assert cold_condition["reason"] == "Cold"
        before = sum(cold.seen.values())
        async with model_server(cold, replica.address, 9201):
            await replica.opens()
        assert sum(cold.seen.values()) > before


async def _is(found, value):
    return await found == value


async def test_a_plan_that_the_server_refuses_fails_fast_and_never_opens(fleet):
    async with fleet.manager():
        await setup(fleet, 9202, onTimeout="admit")
        replica = await Replica(fleet).start()
        async with model_server(Cold(status=400, body=b"shape mismatch"), replica.address, 9202):
            await replica.turns("PlanWrong")
            await asyncio.sleep(0.3)
            assert await replica.gate() == ("False", "PlanWrong")

        async def said():
            found = await fleet.condition("Model", "ranker", "Warm", "search")
            return found.get("reason") == "Failed" and "400: shape mismatch; correct the plan" in found["message"]

        await until(said, what="the condition to say why")


async def test_what_is_not_fast_in_time_is_held_admitted_or_restarted_as_the_plan_says(fleet):
    async with fleet.manager():
        await setup(fleet, 9203, onTimeout="admit", timeout="500ms")
        admitted = await Replica(fleet).start()
        await admitted.turns("Admitted", open_=True)

        async def told():
            found = await fleet.condition("Model", "ranker", "Warm", "search")
            return found.get("reason") == "Admitted"

        await until(told, what="the condition to say that nothing is proved")
        await fleet.apply(
            warmed(plan(target={"protocol": "oip-rest", "port": 9203}, onTimeout="hold", timeout="500ms"))
        )
        await fleet.settled()
        held = await Replica(fleet).start()
        await held.turns("TimedOut")
        await fleet.apply(
            warmed(plan(target={"protocol": "oip-rest", "port": 9203}, onTimeout="restart", timeout="500ms"))
        )
        await fleet.settled()
        restarted = await Replica(fleet).start()

        async def gone():
            try:
                return "deletionTimestamp" in (await restarted.pod())["metadata"]
            except Absent:
                return True

        await until(gone, what="the pod to be deleted")


async def test_a_refused_plan_leaves_the_last_good_one_in_force(fleet):
    async with fleet.manager(), model_server(Cold(), "127.0.0.1", 0):
        good = await setup(fleet, 9204)
        await until(lambda: fleet.get("ConfigMap", "tidegate-ranker-warmup", "search"), what="the plan")
        bad = plan(target={"protocol": "oip-rest", "port": 9204}, cases=[{"name": "a", "inputs": {"x": {"dtype": "FP32", "shape": [2], "generator": {"values": ["word"]}}}}])  # fmt: skip
        await fleet.apply(warmed(bad))

        async def refused():
            return (await fleet.condition("Model", "ranker", "Accepted", "search")).get("status") == "False"

        await until(refused, what="the document to be refused")
        accepted = await fleet.condition("Model", "ranker", "Accepted", "search")
        assert "spec.warmup.plan.cases[0].inputs: x: its values do not fit FP32" in accepted["message"]
        assert '"values"' not in (await fleet.get("ConfigMap", "tidegate-ranker-warmup", "search"))["data"]["plan.json"]
        replica = await Replica(fleet).start()
        async with model_server(Cold(), replica.address, 9204):
            await replica.opens()
        assert good["cases"][0]["name"] == "typical"


async def test_pods_are_released_when_their_model_goes(fleet):
    async with fleet.manager():
        await setup(fleet, 9205)
        replica = await Replica(fleet).start()
        await replica.turns("Warming")
        await fleet.client.delete(ObjectKey("Model", "search", "ranker"))
        await replica.turns("Released", open_=True)


async def test_existing_pods_without_the_gate_are_refused_with_the_lines_to_add(fleet):
    async with fleet.manager() as manager, fleet.rest(manager) as rest:
        await tenancy(fleet)
        await Replica(fleet, found={"app": "theirs"}, gated=False).start()
        theirs = [{"name": "v1", "existing": {"labels": {"app": "theirs"}}}]
        found = warmed(plan(), versions=theirs)
        await fleet.settled()
        status, told = await rest.call("PUT", "/v1/tenants/search/models/ranker", {"spec": found["spec"]})
        assert status == 422
        assert "readinessGates: [{conditionType: tidegate.dev/warm}]" in told["problems"][0]["message"]


async def _condition_is(fleet, kind, name, namespace):
    return (await fleet.condition(kind, name, "Accepted", namespace)).get("status") == "True"


async def test_a_plan_by_reference_is_waited_for_and_its_files_come_from_config_maps(fleet):
    async with fleet.manager():
        await tenancy(fleet)
        await fleet.pod("inference-gw", {"istio": "shared"})
        await fleet.apply(model(warmup={"planRef": {"name": "shared-plan"}, "restartDelay": "1s"}))

        async def says(reason, text):
            found = await fleet.condition("Model", "ranker", "Accepted", "search")
            return found.get("reason") == reason and text in found["message"]

        await until(
            lambda: says("NotFound", "has no accepted WarmupPlan shared-plan"), what="the missing plan to be told"
        )
        recorded = {"name": "seen", "recorded": {"file": {"configMap": "traffic", "key": "seen.jsonl"}}}
        spec = plan(target={"protocol": "oip-rest", "port": 9206}, cases=[recorded])
        metadata = {"name": "shared-plan", "namespace": "search"}
        await fleet.apply({"apiVersion": API, "kind": "WarmupPlan", "metadata": metadata, "spec": spec})

        async def file_missing():
            found = await fleet.condition("WarmupPlan", "shared-plan", "Accepted", "search")
            return "file traffic/seen.jsonl" in found.get("message", "")

        await until(file_missing, what="the missing file to be told")
        line = '{"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP32", "data": [1, 2, 3, 4]}]}'
        await fleet.apply(
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": "traffic", "namespace": "search", "labels": {"tidegate.dev/warmup": "file"}},
                "data": {"seen.jsonl": f"{line}\n{line}\n"},
            }
        )
        await until(lambda: _condition_is(fleet, "Model", "ranker", "search"), what="the model to be accepted")
        await until(lambda: fleet.get("ConfigMap", "tidegate-ranker-warmup", "search"), what="the plan")
        replica = await Replica(fleet).start()
        async with model_server(Cold(), replica.address, 9206):
            await replica.opens()


async def test_a_manager_that_ends_while_it_warms_leaves_cold_pods_closed_and_warm_ones_open(fleet):
    cold = Cold(slow_calls=10**6)
    settings = replace(SETTINGS, lease=("inference-gw", "tidegate"), lease_seconds=hung() / 20)
    async with fleet.manager(replace(settings, identity="one")):
        await setup(fleet, 9207)
        warm = await Replica(fleet).start()
        async with model_server(Cold(), warm.address, 9207):
            await warm.opens()
        slow = await Replica(fleet).start()
        server = model_server(cold, slow.address, 9207)
        await server.__aenter__()
        await slow.turns("Warming")
        await until(lambda: cold.seen["[[1, 4]]"] > 5, what="some requests")
    try:
        assert (await warm.is_open(), await slow.is_open()) == (True, False)
        cold.slow_calls = 0
        async with fleet.manager(replace(settings, identity="two")):
            await slow.opens()
            assert await warm.is_open()
    finally:
        await server.__aexit__(None, None, None)


@pytest.mark.parametrize("number", [200])
async def test_two_hundred_pods_at_once_are_warmed_within_the_bounds_while_the_api_answers(fleet, number):
    cold = Cold(work=0.002)
    settings = replace(SETTINGS, warming=16, warming_per_node=16)
    async with fleet.manager(settings) as manager, fleet.rest(manager) as rest, model_server(cold, "127.0.0.1", 9208):
        cases = [{"name": "a", "inputs": {"x": {"dtype": "FP32", "shape": [-1, 4]}}}]
        await setup(fleet, 9208, cases=cases, success={"window": 5, "latency": {"max": "2s"}})
        replicas = [Replica(fleet) for _ in range(number)]
        for index, replica in enumerate(replicas):
            replica.key, replica.address = replica.key._replace(name=f"ranker-{index}"), "127.0.0.1"
        await asyncio.gather(*(replica.start() for replica in replicas))
        for _ in range(10):
            status, _ = await rest.call("GET", "/v1/tenants/search/models/ranker")
            assert status == 200
        await asyncio.gather(*(until(replica.is_open, "all gates") for replica in replicas))
        assert cold.most <= 16


async def test_one_document_that_cannot_be_rendered_stops_no_other(fleet):
    async with fleet.manager():
        await setup(fleet, 9209)
        broken = {
            "spec": {
                "containers": [
                    {"name": "model", "readinessProbe": {"httpGet": {"port": 1}, "initialDelaySeconds": "5s"}}
                ]
            }
        }
        workload = {"replicas": 1, "image": "example.com/ranker:1", "podTemplate": broken}
        await fleet.apply(model("odd", versions=[{"name": "v1", "workload": workload}]))

        async def refused():
            found = await fleet.condition("Model", "odd", "Accepted", "search")
            return "initialDelaySeconds of container model is a whole number" in found.get("message", "")

        await until(refused, what="the odd document to be refused")
        await fleet.apply(model("other"))
        await until(lambda: fleet.get("VirtualService", "other", "search"), what="the other model's routes")
