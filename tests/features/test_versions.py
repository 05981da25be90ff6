"""Versions of models: registered once by the first that comes, evaluated side by side, blocked, pinned, forgotten."""

import asyncio

import pytest

from tests.features.conftest import make_search
from tests.features.test_access import as_, made
from tests.support.documents import API, model, tenant
from tests.support.waiting import until

ROOT = "/v1/tenants/search/modelversions"
ONE = f"{ROOT}/ranker-v2"
V2 = {"model": "ranker", "version": "v2", "uri": "s3://models/ranker/2", "dataUntil": "2026-11-20T00:00:00Z"}
AUC = {"dataset": "holdout", "metric": "auc", "value": 0.91, "samples": 5000, "at": "2026-11-21T03:00:00Z"}


@pytest.fixture
async def rest(fleet):
    async with fleet.manager() as manager, fleet.rest(manager) as calls:
        await make_search(fleet)
        yield calls


async def served(fleet, name: str = "ranker-v2") -> tuple[str, str]:
    found = await fleet.condition("ModelVersion", name, "Served", "search")
    return found.get("status", ""), found.get("reason", "")


def fields(answer) -> dict[str, str]:
    return {problem["field"]: problem["message"] for problem in answer["problems"]}


async def test_a_repeat_changes_nothing_and_another_content_is_refused_with_what_differs(rest):
    status, made = await rest.call("POST", ROOT, V2)
    assert (status, made["metadata"]["name"]) == (201, "ranker-v2")
    assert made["spec"]["registeredBy"]
    other = {**V2, "dataUntil": "2026-11-20T01:00:00+01:00"}  # the same moment, written otherwise
    for again in (V2, other):
        status, answer = await rest.call("POST", ROOT, again)
        assert (status, answer["metadata"]["generation"]) == (200, made["metadata"]["generation"])
    status, answer = await rest.call("POST", ROOT, {**V2, "uri": "s3://models/ranker/3", "image": "x:2"})
    assert status == 409
    said = fields(answer)
    assert "s3://models/ranker/2" in said["uri"] and "register under another version" in said["uri"]
    assert "is not registered" in said["image"]


async def test_of_two_pipelines_that_register_one_version_at_once_one_content_wins(rest):
    contents = [{**V2, "uri": f"s3://models/ranker/{number % 2}"} for number in range(8)]
    answers = await asyncio.gather(*(rest.call("POST", ROOT, content) for content in contents))
    _, there = await rest.call("GET", ONE)
    expected = {content["uri"]: 409 for content in contents} | {there["spec"]["uri"]: 200}
    found = [status for status, _ in answers]
    assert found.count(201) == 1
    assert all(status in (201, expected[c["uri"]]) for status, c in zip(found, contents, strict=True))


async def test_evaluations_that_come_at_once_are_all_kept(rest):
    await rest.call("POST", ROOT, V2)
    results = [{**AUC, "metric": f"m{number}"} for number in range(6)]
    answers = await asyncio.gather(*(rest.call("POST", f"{ONE}/evaluations", one) for one in [*results, *results]))
    assert {status for status, _ in answers} == {200}
    _, there = await rest.call("GET", ONE)
    assert sorted(one["metric"] for one in there["spec"]["evaluations"]) == [f"m{number}" for number in range(6)]
    status, answer = await rest.call("POST", f"{ONE}/evaluations", {**results[0], "value": 0.5})
    assert status == 409 and "0.91 already" in fields(answer)["at"]
    status, _ = await rest.call("POST", ROOT, {**V2, "evaluations": results})
    assert status == 200, "a repeat with what was found since"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"uri": None}, ""),
        ({"uri": "models/2"}, "uri"),
        ({"digest": "sha256:12"}, "digest"),
        ({"version": "V 2"}, "version"),
        ({"cost": -1}, "cost"),
        ({"errors": 1.5}, "errors"),
        ({"dataUntil": "yesterday"}, "dataUntil"),
        ({"evaluations": [AUC] * 201}, "evaluations"),
        ({"evaluations": [AUC, AUC]}, ""),
        ({"evaluations": [{**AUC, "value": "NaN"}]}, "evaluations[0].value"),
        ({"accuracy": 1}, "accuracy"),
    ],
)
async def test_what_is_wrong_is_named_by_its_field(rest, change, field):
    status, answer = await rest.call("POST", ROOT, {**V2, **change})
    assert status == 422
    assert any(name.startswith(field) for name in fields(answer)), answer


async def test_a_version_is_blocked_and_pinned_by_people_and_both_end(rest):
    await rest.call("POST", ROOT, V2)
    status, answer = await rest.call("PUT", f"{ONE}/block", {"reason": "empty answers"})
    assert (status, answer["spec"]["blocked"]) == (200, {"reason": "empty answers"})
    status, answer = await rest.call("PUT", f"{ONE}/pin", {})
    assert status == 409 and "unblock it" in answer["detail"]
    status, answer = await rest.call("DELETE", f"{ONE}/block")
    assert status == 200 and "blocked" not in answer["spec"]
    status, answer = await rest.call("PUT", f"{ONE}/pin", {"until": "2999-01-01T00:00:00Z", "reason": "until then"})
    pinned = answer["spec"]["pinned"]
    assert status == 200 and pinned["by"] and pinned["at"] and pinned["until"] == "2999-01-01T00:00:00Z"
    status, answer = await rest.call("DELETE", f"{ONE}/pin")
    assert status == 200 and "pinned" not in answer["spec"]
    _, found = await rest.call("GET", f"{ONE}/history")
    assert len(found["items"]) >= 1


async def test_the_status_says_whether_a_version_serves_and_one_that_does_is_not_deleted(fleet, rest):
    await rest.call("POST", ROOT, V2)
    await until(lambda: _has(fleet, ("False", "NotListed")), what="the model that does not list it")
    versions = [{"name": name, "workload": {"image": f"x:{name}", "replicas": 1}} for name in ("v1", "v2")]
    await fleet.apply(model(versions=versions, traffic=[{"version": "v1", "weight": 100}]))
    await until(lambda: _has(fleet, ("False", "NoTraffic")), what="the version without traffic")
    await fleet.apply(model(versions=versions, traffic=[{"version": "v2", "weight": 100}]))
    await until(lambda: _has(fleet, ("True", "Served")), what="the version that serves")
    status, answer = await rest.call("DELETE", ONE)
    assert status == 409 and "move its traffic" in answer["detail"]
    await fleet.apply(model(versions=versions, traffic=[{"version": "v1", "weight": 100}]))
    await until(lambda: _has(fleet, ("False", "NoTraffic")), what="the version without traffic again")
    status, _ = await rest.call("DELETE", ONE)
    assert status == 202
    status, _ = await rest.call("GET", ONE)
    assert status == 404


async def test_documents_of_kubectl_are_rejected_with_the_remedy(fleet, rest):
    odd = {"apiVersion": API, "kind": "ModelVersion", "spec": {"model": "ranker", "image": "x:1"}}
    await fleet.apply({**odd, "metadata": {"name": "other-v1", "namespace": "search"}})

    async def said() -> str:
        found = await fleet.condition("ModelVersion", "other-v1", "Accepted", "search")
        return str(found.get("message", ""))

    async def is_rejected() -> bool:
        return "name it ranker-VERSION" in await said()

    await until(is_rejected, what="the rejection")


async def _has(fleet, expected: tuple[str, str]) -> bool:
    return await served(fleet) == expected


async def test_where_a_tenant_asks_for_it_a_pin_counts_when_another_person_has_approved_it(fleet, tmp_path):
    people = made(tmp_path, anna=["search-ml"], bob=["search-ml"])
    pin, selection = f"{ONE}/pin", "/v1/tenants/search/models/ranker/selection"
    async with fleet.manager() as manager, fleet.rest(manager, people) as rest:
        await make_search(fleet)
        await fleet.apply(tenant(owners=["group:search-ml"], pinApprovers=1))
        await until(lambda: _may(rest, "bob"), what="the owners")
        assert (await rest.call("POST", ROOT, V2))[0] == 201
        status, answer = await rest.call("PUT", f"{pin}/approval", {}, as_("bob"))
        assert status == 409 and "is not pinned" in str(answer)
        assert (await rest.call("PUT", pin, {}, as_("anna")))[0] == 200
        _, found = await rest.call("POST", selection, {"strategy": "manual"})
        assert (found["selection"]["reason"], "to" in found["selection"]) == ("ApprovalMissing", False)
        _, found = await rest.call("POST", selection, {"strategy": "dataDriven"})
        assert "waits for the approval of 1 more" in str(found["selection"]["rejected"])
        status, answer = await rest.call("PUT", f"{pin}/approval", {}, as_("anna"))
        assert status == 409 and "who cannot approve that" in str(answer)
        status, answer = await rest.call("PUT", f"{pin}/approval", {"of": "carl"}, as_("bob"))
        assert status == 409 and "and not by carl" in str(answer)
        await _refuses_what_others_have_not_said(rest)
        for _ in range(2):
            status, answer = await rest.call("PUT", f"{pin}/approval", {"of": "token:anna"}, as_("bob"))
            assert status == 200, answer
            assert answer["spec"]["pinned"]["approvals"] == ["token:bob"]
        _, found = await rest.call("POST", selection, {"strategy": "manual"})
        assert found["selection"]["to"] == "v2" and "approved by token:bob" in found["selection"]["evidence"][0]
        assert (await rest.call("PUT", pin, {}, as_("anna")))[0] == 200
        _, there = await rest.call("GET", ONE)
        assert not there["spec"]["pinned"].get("approvals"), "another pin needs approvals of its own"


async def _refuses_what_others_have_not_said(rest) -> None:
    _, there = await rest.call("GET", ONE)
    pinned = there["spec"]["pinned"]
    for forged, said in (
        ({"by": "bob"}, "pin a version in your own name"),
        ({"approvals": ["bob"]}, "only by `tidegate"),
    ):
        status, answer = await rest.call("PATCH", ONE, {"spec": {"pinned": {**pinned, **forged}}}, as_("anna"))
        assert status == 409 and said in str(answer), answer


async def _may(rest, name: str) -> bool:
    return bool((await rest.call("GET", ROOT, None, as_(name)))[0] == 200)
