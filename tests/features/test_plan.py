"""What a write would do is shown before, and done only while it still holds."""

import pytest

from tests.features.conftest import make_search
from tests.support.documents import gateway, labels, model, tenant
from tests.support.waiting import until

RANKER = "/v1/tenants/search/models/ranker"


@pytest.fixture
async def rest(fleet):
    async with fleet.manager() as manager, fleet.rest(manager) as calls:
        await make_search(fleet)
        for _ in range(2):
            await fleet.pod("search", labels())
        calls.fleet = fleet
        await until(lambda: _warm(calls), what="two warm replicas")
        yield calls


async def _warm(rest) -> bool:
    _, found = await rest.call("GET", RANKER)
    return [v["ready"] for v in found["status"].get("versions", [])] == [2]


async def planned(rest, path: str, body: dict, method: str = "PUT") -> dict:
    status, plan = await rest.call(method, f"{path}?dryRun=true", body)
    assert status == 200, plan
    return plan


def rated(qps: float) -> dict:
    return {"spec": model(rateLimit={"perReplicaQps": qps})["spec"]}


async def test_a_plan_tells_what_is_touched_the_limits_and_the_risk(rest):
    plan = await planned(rest, RANKER, rated(5))
    assert plan["limit"] == {"before": 40, "after": 10}
    assert (plan["risk"], plan["reasons"]) == ("high", ["the limit falls from 40/s to 10/s"])
    assert plan["changes"] == [] and not any(plan["touches"].values())  # limits are in slots, written elsewhere
    plan = await planned(rest, RANKER, rated(50))
    assert (plan["limit"], plan["risk"], plan["reasons"]) == ({"before": 40, "after": 100}, "low", [])

    moved = model(routes=[{"host": "search.models.example.com", "path": "/v2/models/other", "port": 8080}])
    plan = await planned(rest, RANKER, {"spec": moved["spec"]})
    assert plan["risk"] == "medium" and plan["reasons"] == [
        "update VirtualService search/ranker: requests take another way"
    ]
    assert plan["touches"] == {
        "hosts": ["search.models.example.com"],
        "listeners": False,
        "routes": True,
        "pods": False,
    }
    (change,) = plan["changes"]
    assert change["server"] == "accepted" and any(op["op"] == "replace" for op in change["patch"])

    image = {"spec": {"versions": [{"name": "v1", "workload": {"replicas": 2, "image": "example.com/ranker:2"}}]}}
    plan = await planned(rest, RANKER, image, "PATCH")
    assert plan["touches"]["pods"] and plan["reasons"] == ["update Deployment search/ranker-v1: replicas are replaced"]

    plan = await planned(rest, "/v1/tenants/ads", {"spec": tenant("ads")["spec"]})
    assert (
        plan["risk"] == "medium"
        and plan["touches"]["listeners"]
        and "ads.models.example.com" in plan["touches"]["hosts"]
    )
    assert {c["server"] for c in plan["changes"]} == {"accepted"}
    ported = gateway(listeners=[{"name": "http", "port": 8090, "protocol": "HTTP"}])
    plan = await planned(rest, "/v1/gateways/shared", {"spec": ported["spec"]})
    assert plan["risk"] == "high" and "its connections are drained" in plan["reasons"][0]


async def test_with_the_fingerprint_only_what_was_planned_is_done(rest):
    body = rated(50)
    plan = await planned(rest, RANKER, body)
    assert (await planned(rest, RANKER, body))["fingerprint"] == plan["fingerprint"]
    await rest.call("PATCH", RANKER, {"spec": {"rateLimit": {"perReplicaQps": 30}}})
    status, problem = await rest.call("PUT", f"{RANKER}?plan={plan['fingerprint']}", body)
    assert status == 412 and "plan it again" in problem["detail"]
    again = (await planned(rest, RANKER, body))["fingerprint"]
    assert again != plan["fingerprint"]
    status, _ = await rest.call("PUT", f"{RANKER}?plan={again}", rated(51))  # another body than was planned
    assert status == 412
    assert (await rest.call("PUT", f"{RANKER}?plan={again}", body))[0] == 200
    status, _ = await rest.call("PUT", f"{RANKER}?plan={again}", body)
    assert status == 412  # it is done already


async def test_a_change_of_another_tenant_does_not_matter(rest):
    moved = {"spec": model(routes=[{"host": "search.models.example.com", "path": "/else", "port": 8080}])["spec"]}
    plan = await planned(rest, RANKER, moved)
    await rest.call("PUT", "/v1/tenants/ads", {"spec": tenant("ads")["spec"]})
    await until(lambda: rest.fleet.get("Gateway", "tenant-ads", "inference-gw"))
    assert (await planned(rest, RANKER, moved))["fingerprint"] == plan["fingerprint"]
