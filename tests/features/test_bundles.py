"""Several documents in one call: planned together, and rendered without a cluster."""

import pytest

from tests.features.conftest import make_search
from tests.support.documents import API, gateway, model, tenant
from tests.warmup.plans import plan


@pytest.fixture
async def rest(fleet):
    async with fleet.manager() as manager, fleet.rest(manager) as calls:
        await make_search(fleet)
        calls.fleet = fleet
        yield calls


def ads() -> list[dict]:
    return [tenant("ads"), model("bidder", "ads")]


async def planned(rest, documents: list[dict]) -> dict:
    status, found = await rest.call("POST", "/v1/plan", {"documents": documents})
    assert status == 200, found
    return found


async def refused(rest, documents: object, status: int) -> dict[str, str]:
    found, problem = await rest.call("POST", "/v1/plan", {"documents": documents})
    assert found == status, problem
    return {entry["field"]: entry["message"] for entry in problem["problems"]}


async def test_documents_that_need_each_other_are_planned_together_and_nothing_is_written(rest):
    before = await rest.fleet.settled()
    found = await planned(rest, ads())
    assert found["documents"] == ["Tenant ads", "Model ads/bidder"]
    changed = {(change["operation"], change["object"]) for change in found["changes"]}
    assert {("create", "Namespace ads"), ("create", "VirtualService ads/bidder")} <= changed
    assert "ads.models.example.com" in found["touches"]["hosts"]
    assert list(found["limits"]) == ["Model ads/bidder"] and found["limit"] is None
    assert await rest.fleet.settled() == before
    assert (await planned(rest, ads()))["fingerprint"] == found["fingerprint"]


async def test_two_changes_of_one_fleet_are_seen_as_they_end(rest):
    ranker = model(rateLimit={"perReplicaQps": 5})
    moved = {**tenant("search")}
    moved["spec"] = {**moved["spec"], "gateway": {"name": "new"}}
    found = await planned(rest, [gateway("new", "new-gw"), moved, ranker])
    changed = {(change["operation"], change["object"]) for change in found["changes"]}
    assert {("create", "Gateway new-gw/tenant-search"), ("delete", "Gateway inference-gw/tenant-search")} <= changed
    assert found["risk"] == "high"


async def test_what_two_documents_of_one_call_both_claim_is_refused(rest):
    rival = tenant("rival")
    rival["spec"]["hosts"] = [{"name": "ads.models.example.com"}]
    found = await refused(rest, [*ads(), rival], 409)
    assert any("ads.models.example.com" in message for message in found.values())
    found = await refused(rest, [tenant("late", hosts=[{"name": "search.models.example.com"}])], 409)
    assert any("search" in message for message in found.values())


async def test_every_wrong_document_is_named_by_its_place(rest):
    broken = model("broken")
    broken["spec"]["routes"] = []
    twice = tenant("ads")
    plan = {"apiVersion": API, "kind": "WarmupPlan", "metadata": {"name": "p"}, "spec": {}}
    found = await refused(rest, [tenant("ads"), broken, twice, plan], 422)
    assert {field.partition(".")[2].split(".")[0] for field in found} == {"1", "2", "3"}
    assert "stands twice" in found["documents.2"]
    assert "send 1 to 200" in (await refused(rest, [], 422))["documents"]
    assert "each as you would apply it" in (await refused(rest, "all", 422))["documents"]
    assert "each as you would apply it" in (await refused(rest, [7], 422))["documents"]


async def test_a_plan_refuses_what_a_write_would(rest):
    """Pods that are there have no readiness gate, and none can be added."""
    await rest.fleet.pod("search", {"app": "theirs"})
    gated = {"mode": "gate", "plan": plan(target={"protocol": "oip-rest", "port": 8080})}
    raw = model("theirs", versions=[{"name": "v1", "existing": {"labels": {"app": "theirs"}}}], warmup=gated)
    path = "/v1/tenants/search/models/theirs?dryRun=true"
    status, alone = await rest.call("PUT", path, {"spec": raw["spec"]})
    found, together = await rest.call("POST", "/v1/plan", {"documents": [raw, model("other")]})
    assert (status, found) == (422, 422)
    assert {p["message"] for p in alone["problems"]} <= {p["message"] for p in together["problems"]}


async def test_the_fingerprint_is_of_the_documents_by_name_in_any_order(rest):
    one = (await planned(rest, ads()))["fingerprint"]
    assert (await planned(rest, ads()[::-1]))["fingerprint"] == one
    grants = [
        {
            "apiVersion": API,
            "kind": "AccessGrant",
            "metadata": {"name": name},
            "spec": {"role": "viewer", "groups": ["x"]},
        }
        for name in "ab"
    ]
    assert (await planned(rest, grants[:1]))["fingerprint"] != (await planned(rest, grants[1:]))["fingerprint"]
    odd = {**tenant("ads"), "metadata": {"name": "ads", "namespace": "foo"}}
    assert "stands twice" in (await refused(rest, [odd, tenant("ads")], 422))["documents.1"]


async def test_manifests_that_would_fill_the_memory_are_refused(rest):
    target = {"protocol": "http", "port": 8080, "path": "/x", "method": "POST", "readyPath": "/r"}
    spec = {"target": target, "cases": [{"name": "a", "text": "x" * 500_000}], "success": {"latency": {"max": "1s"}}}
    warmup = {"apiVersion": API, "kind": "WarmupPlan", "metadata": {"name": "p", "namespace": "ads"}, "spec": spec}
    models = [model(f"m{n}", "ads", warmup={"mode": "gate", "planRef": {"name": "p"}}) for n in range(100)]
    status, problem = await rest.call("POST", "/v1/render", {"documents": [gateway(), tenant("ads"), warmup, *models]})
    assert status == 413 and "send fewer" in problem["detail"], problem
    twice = [gateway(), tenant("ads"), tenant("ads")]
    status, problem = await rest.call("POST", "/v1/render", {"documents": twice})
    assert status == 422 and "stands twice" in problem["detail"]


async def test_an_override_in_a_plan_is_its_callers(rest):
    spec = {"target": {"tenant": "search"}, "action": "freeze", "reason": "night", "expires": "2999-01-01T00:00:00Z"}
    metadata = {"name": "night"}
    found = await planned(rest, [{"apiVersion": API, "kind": "LimitOverride", "metadata": metadata, "spec": spec}])
    assert found["changes"] == [] and found["risk"] == "low"


async def test_manifests_follow_from_documents_alone(rest):
    status, found = await rest.call("POST", "/v1/render", {"documents": [gateway(), *ads()]})
    assert status == 200
    kinds = {obj["kind"] for obj in found["items"]}
    assert {"Gateway", "VirtualService", "EnvoyFilter", "Namespace"} <= kinds
    assert "ranker" not in {obj["metadata"]["name"] for obj in found["items"]}
    status, problem = await rest.call("POST", "/v1/render", {"documents": ads()})
    assert status == 422 and "shared" in problem["detail"]
