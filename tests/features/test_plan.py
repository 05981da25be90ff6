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
        "update VirtualService search/ranker: requests are routed differently"
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


async def test_rewrites_and_cors_are_planned_and_what_cannot_be_meant_is_named_by_its_field(rest):
    route = {"host": "search.models.example.com", "path": "/chat", "port": 8080}
    edited = {**route, "rewrite": {"path": "/v1/chat"}, "cors": {"allowOrigins": [{"exact": "https://a.example.com"}]}}
    plan = await planned(rest, RANKER, {"spec": model(routes=[edited])["spec"]})
    assert plan["reasons"] == ["update VirtualService search/ranker: requests are routed differently"]
    assert plan["limit"] == {"before": 40, "after": 40} and not plan["touches"]["listeners"]
    assert {change["server"] for change in plan["changes"]} == {"accepted"}
    wide = {"allowOrigins": [{"exact": "*"}], "allowCredentials": True}
    wrong = {**route, "rewrite": {"path": "/a", "prefix": "/b"}, "cors": wide}
    for path in (RANKER, f"{RANKER}?dryRun=true"):
        status, problem = await rest.call("PUT", path, {"spec": model(routes=[wrong])["spec"]})
        assert status == 422
        assert [found["field"] for found in problem["problems"]] == [
            "spec.routes[0].rewrite",
            "spec.routes[0].cors.allowCredentials",
        ]


async def test_a_second_certificate_of_a_port_is_planned_and_two_of_one_domain_are_refused(rest):
    http = {"name": "http", "port": 8080, "protocol": "HTTP"}
    one = {"name": "a", "port": 8443, "protocol": "HTTPS", "domain": "models.example.com", "credentialName": "a"}
    other = {**one, "name": "b", "domain": "eu.models.example.com", "credentialName": "b"}
    plan = await planned(rest, "/v1/gateways/shared", {"spec": gateway(listeners=[http, one, other])["spec"]})
    assert plan["risk"] == "high" and plan["touches"]["listeners"]
    again = gateway(listeners=[http, one, {**one, "name": "b", "port": 9443}])
    status, problem = await rest.call("PUT", "/v1/gateways/shared", {"spec": again["spec"]})
    assert (status, problem["problems"][0]["field"]) == (422, "spec.listeners[2]")
    assert "its limits would count twice" in problem["problems"][0]["message"]


def limited(**limit) -> dict:
    return {"spec": model(rateLimit={"perReplicaQps": 20, **limit})["spec"]}


async def test_a_plan_tells_and_grades_every_effect_on_what_callers_may_send(rest):
    await rest.fleet.pod("inference-gw", {"istio": "shared"})
    plan = await planned(rest, RANKER, limited(mode="off"))
    assert plan["changes"] == [] and plan["limit"] == {"before": 40, "after": None}
    assert plan["risk"] == "high" and "the limit of 40/s is removed" in plan["reasons"]
    plan = await planned(rest, RANKER, limited(mode="shadow"))
    assert plan["limit"] == {"before": 40, "after": 40, "modeBefore": "enforce", "modeAfter": "shadow"}
    assert plan["risk"] == "high" and "enforced for 0 % of the requests" in plan["reasons"][0]
    plan = await planned(rest, RANKER, limited(fallback={"cold": "closed", "stale": "hold"}, burst="3s"))
    told = [effect["message"] for effect in plan["effects"]]
    assert plan["risk"] == "medium" and "fallback without a warm replica: hold -> closed" in told, told
    assert any("the burst of a gateway pod is" in message for message in told), told
    plan = await planned(rest, "/v1/tenants/search", {"spec": tenant(rateLimit={"ceiling": 15})["spec"]})
    assert plan["limits"] == {"Model search/ranker": {"before": 40, "after": 15}} and plan["risk"] == "high"
    both = limited(perReplicaQps=50)
    both["spec"]["versions"][0]["workload"]["image"] = "example.com/ranker:2"
    assert (await planned(rest, RANKER, both))["limit"] == {"before": 40, "after": 40}  # until the new pods run
    fewer = limited()
    fewer["spec"]["versions"][0]["workload"]["replicas"] = 1
    plan = await planned(rest, RANKER, fewer)
    assert plan["risk"] == "medium" and any("2 -> 1" in effect["message"] for effect in plan["effects"])
    assert (await planned(rest, RANKER, {"spec": model()["spec"]}))["effects"] == []


async def test_with_the_fingerprint_only_what_was_planned_is_done(rest):
    body = rated(50)
    plan = await planned(rest, RANKER, body)
    assert (await planned(rest, RANKER, body))["fingerprint"] == plan["fingerprint"]
    await rest.call("PATCH", RANKER, {"spec": {"rateLimit": {"perReplicaQps": 30}}})
    status, problem = await rest.call("PUT", f"{RANKER}?plan={plan['fingerprint']}", body)
    assert status == 412 and "plan the write again" in problem["detail"]
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


async def test_a_tenant_that_would_move_is_told_where_that_ends(rest):
    await rest.call("PUT", "/v1/gateways/new", {"spec": gateway("new", "new-gw")["spec"]})
    await until(lambda: _accepted(rest, "InferenceGateway", "new"), what="the new gateway")
    moved = {"spec": {**tenant("search")["spec"], "gateway": {"name": "new"}}}
    plan = await planned(rest, "/v1/tenants/search", moved)
    changed = {(c["operation"], c["object"]) for c in plan["changes"]}
    assert ("delete", "Gateway inference-gw/tenant-search") in changed and (
        "create",
        "Gateway new-gw/tenant-search",
    ) in changed
    assert ("update", "VirtualService search/ranker") in changed and plan["risk"] == "high"


async def _accepted(rest, kind: str, name: str) -> bool:
    return (await rest.fleet.condition(kind, name, "Accepted")).get("status") == "True"


async def test_what_a_model_keeps_that_would_be_refused_is_not_told_as_deleted(rest):
    body = {"spec": {**tenant("search")["spec"], "hosts": [{"name": "other.example.com"}]}}
    plan = await planned(rest, "/v1/tenants/search", body)
    assert not any(c["object"].startswith(("Deployment", "VirtualService")) for c in plan["changes"])
    assert plan["risk"] == "high" and "Model search/ranker is no longer accepted" in plan["reasons"]


async def test_the_limit_before_counts_the_versions_that_are_there_and_labels_count_in_the_fingerprint(rest):
    (v1,) = model()["spec"]["versions"]
    body = {
        "spec": {**rated(20)["spec"], "versions": [{**v1, "name": "v2"}], "traffic": [{"version": "v2", "weight": 100}]}
    }
    plan = await planned(rest, RANKER, body)
    assert plan["limit"]["before"] == 40 and plan["limit"]["after"] < 2
    labelled = {**rated(50), "metadata": {"labels": {"tier": "gold"}}}
    plain = (await planned(rest, RANKER, rated(50)))["fingerprint"]
    assert (await planned(rest, RANKER, labelled))["fingerprint"] != plain
    assert (await rest.call("PUT", f"{RANKER}?plan={plain}", labelled))[0] == 412
    assert (await rest.call("PUT", f"{RANKER}?plan=", rated(50)))[0] == 412


async def test_what_somebody_else_has_there_is_no_more_pushed_aside_than_by_the_write(rest):
    theirs = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "other", "namespace": "search"}}
    await rest.fleet.apply(
        {**theirs, "spec": {"selector": {"app": "theirs"}, "ports": [{"name": "http-8080", "port": 8080}]}}
    )
    other = model("other", routes=[{"host": "search.models.example.com", "path": "/other", "port": 8080}])
    plan = await planned(rest, "/v1/tenants/search/models/other", {"spec": other["spec"]})
    said = {c["object"]: c["server"] for c in plan["changes"]}
    assert said["Service search/other"].startswith("rejected: ") and said["VirtualService search/other"] == "accepted"


async def test_of_two_claims_the_older_one_that_was_refused_wins_what_becomes_free(rest):
    path = [{"host": "search.models.example.com", "path": "/v2/models/ranker", "port": 8080}]
    await rest.fleet.apply(model("waits", routes=path))
    await until(lambda: _refused(rest), what="the refusal of the second model")
    deleted, (status, problem) = [
        await rest.call("DELETE", RANKER),
        await rest.call("PUT", "/v1/tenants/search/models/late", {"spec": model("late", routes=path)["spec"]}),
    ]
    assert deleted[0] == 202 and status == 409, problem


async def _refused(rest) -> bool:
    return (await rest.fleet.condition("Model", "waits", "Accepted", "search")).get("status") == "False"


async def test_a_scale_and_a_shift_of_traffic_are_done_as_they_were_planned_or_not_at_all(rest):
    for path, body, other in (
        (f"{RANKER}/versions/v1/scale", {"replicas": 4}, {"replicas": 5}),
        (f"{RANKER}/traffic?force=true", {"traffic": [{"version": "v1", "weight": 100}]}, None),
    ):
        sign = "&" if "?" in path else "?"
        status, plan = await rest.call("PUT", f"{path}{sign}dryRun=true", body)
        assert status == 200 and plan["fingerprint"], plan
        if other:
            assert (await rest.call("PUT", f"{path}{sign}plan={plan['fingerprint']}", other))[0] == 412
        assert (await rest.call("PUT", f"{path}{sign}plan=nonsense", body))[0] == 412
        assert (await rest.call("PUT", f"{path}{sign}plan={plan['fingerprint']}", body))[0] == 200


async def test_a_deletion_is_planned_with_all_that_goes_and_done_as_planned_or_not_at_all(rest):
    status, plan = await rest.call("DELETE", "/v1/tenants/search?cascade=true&dryRun=true")
    assert status == 200 and plan["risk"] == "high"
    assert plan["documents"] == ["Model search/ranker", "Tenant search"]
    gone = {change["object"] for change in plan["changes"]}
    assert {"VirtualService search/ranker", "Gateway inference-gw/tenant-search", "Namespace search"} <= gone
    assert {change["operation"] for change in plan["changes"]} == {"delete"}
    assert plan["touches"] == {
        "hosts": ["search.models.example.com"],
        "listeners": True,
        "routes": True,
        "pods": True,
    }
    status, only = await rest.call("DELETE", f"{RANKER}?dryRun=true")
    assert only["limit"] == {"before": 40, "after": None} and "the limit of 40/s is removed" in only["reasons"]
    assert "Tenant search" not in only["documents"]
    _, plan = await rest.call("DELETE", "/v1/tenants/search?cascade=true&dryRun=true")
    taken = [{"host": "search.models.example.com", "path": "/v2/models/ranker", "port": 8080}]
    await rest.fleet.apply(
        model("refused", routes=taken)
    )  # on a path that is another's: nothing is made for it, yet it would go
    await until(lambda: _is_refused(rest, "refused"), what="the model being refused")
    status, _ = await rest.call("DELETE", f"/v1/tenants/search?cascade=true&plan={plan['fingerprint']}")
    assert status == 412
    moved = {"spec": {"routes": [{"host": "search.models.example.com", "path": "/v3", "port": 8080}]}}
    assert (await rest.call("PATCH", RANKER, moved))[0] == 200
    for path, found in ((f"{RANKER}?", only), ("/v1/tenants/search?cascade=true&", plan)):
        status, problem = await rest.call("DELETE", f"{path}plan={found['fingerprint']}")
        assert status == 412 and "plan the write again" in problem["detail"]
    _, again = await rest.call("DELETE", f"{RANKER}?dryRun=true")
    assert (await rest.call("DELETE", f"{RANKER}?plan={again['fingerprint']}"))[0] == 202


async def _is_refused(rest, name: str) -> bool:
    return (await rest.fleet.condition("Model", name, "Accepted", "search")).get("status") == "False"


async def test_a_namespace_of_somebody_else_is_not_told_as_made_or_deleted(rest):
    labels = {"tidegate.dev/tenant": "own"}
    await rest.fleet.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "own", "labels": labels}})
    body = {"spec": tenant("own")["spec"]}
    plan = await until(lambda: _planned_or_none(rest, "/v1/tenants/own", body), what="the namespace being seen")
    assert "Namespace own" not in {change["object"] for change in plan["changes"]}
    await rest.call("PUT", "/v1/tenants/own", body)
    _, plan = await rest.call("DELETE", "/v1/tenants/own?dryRun=true")
    assert {change["object"] for change in plan["changes"]} == {"Gateway inference-gw/tenant-own"}


async def _planned_or_none(rest, path: str, body: dict) -> dict | None:
    plan = await planned(rest, path, body)
    return None if "Namespace own" in {change["object"] for change in plan["changes"]} else plan
