"""Several documents in one call: planned together, and rendered without a cluster."""

import pytest

from tests.features.conftest import make_search
from tests.support.documents import API, gateway, model, tenant


@pytest.fixture
async def rest(fleet):
    async with fleet.manager() as manager, fleet.rest(manager) as calls:
        await make_search(fleet)
        calls.fleet = fleet
        yield calls


def ads() -> list[dict]:
    return [tenant("ads"), model("bidder", "ads")]


async def planned(rest, documents: list[dict]) -> dict:
    status, plan = await rest.call("POST", "/v1/plan", {"documents": documents})
    assert status == 200, plan
    return plan


async def refused(rest, documents: object, status: int) -> dict[str, str]:
    found, problem = await rest.call("POST", "/v1/plan", {"documents": documents})
    assert found == status, problem
    return {entry["field"]: entry["message"] for entry in problem["problems"]}


async def test_documents_that_need_each_other_are_planned_together_and_nothing_is_written(rest):
    before = await rest.fleet.settled()
    plan = await planned(rest, ads())
    assert plan["documents"] == ["Tenant ads", "Model ads/bidder"]
    changed = {(change["operation"], change["object"]) for change in plan["changes"]}
    assert {("create", "Namespace ads"), ("create", "VirtualService ads/bidder")} <= changed
    assert "ads.models.example.com" in plan["touches"]["hosts"]
    assert list(plan["limits"]) == ["Model ads/bidder"] and plan["limit"] is None
    assert await rest.fleet.settled() == before
    assert (await planned(rest, ads()))["fingerprint"] == plan["fingerprint"]


async def test_two_changes_of_one_fleet_are_seen_as_they_end(rest):
    ranker = model(rateLimit={"perReplicaQps": 5})
    moved = {**tenant("search")}
    moved["spec"] = {**moved["spec"], "gateway": {"name": "new"}}
    plan = await planned(rest, [gateway("new", "new-gw"), moved, ranker])
    changed = {(change["operation"], change["object"]) for change in plan["changes"]}
    assert {("create", "Gateway new-gw/tenant-search"), ("delete", "Gateway inference-gw/tenant-search")} <= changed
    assert plan["risk"] == "high"


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


async def test_an_override_in_a_plan_is_its_callers(rest):
    spec = {"target": {"tenant": "search"}, "action": "freeze", "reason": "night", "expires": "2999-01-01T00:00:00Z"}
    metadata = {"name": "night", "namespace": "tidegate-system"}
    plan = await planned(rest, [{"apiVersion": API, "kind": "LimitOverride", "metadata": metadata, "spec": spec}])
    assert plan["changes"] == [] and plan["risk"] == "low"


async def test_manifests_follow_from_documents_alone(rest):
    status, found = await rest.call("POST", "/v1/render", {"documents": [gateway(), *ads()]})
    assert status == 200
    kinds = {obj["kind"] for obj in found["items"]}
    assert {"Gateway", "VirtualService", "EnvoyFilter", "Namespace"} <= kinds
    assert "ranker" not in {obj["metadata"]["name"] for obj in found["items"]}
    status, problem = await rest.call("POST", "/v1/render", {"documents": ads()})
    assert status == 422 and "shared" in problem["detail"]
