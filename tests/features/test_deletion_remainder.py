"""A deletion says what stays and why; a grant for nobody's tenant, and a pause, are told too."""

import pytest

from tests.features.conftest import make_search
from tests.features.test_cli import tidegate
from tests.support.documents import API, model, tenant
from tests.support.waiting import until

SECRET = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "hf-token", "namespace": "search"}}


@pytest.fixture
async def rest(fleet):
    async with fleet.manager() as manager, fleet.rest(manager) as calls:
        await make_search(fleet)
        calls.fleet, calls.server = fleet, f"http://127.0.0.1:{calls._session._base_url.port}"
        yield calls


async def test_a_namespace_with_what_others_made_stays_and_is_told_before_and_after(rest):
    await rest.fleet.apply(SECRET)
    said = "Namespace search stays without Tidegate's labels, as it holds what others made: Secret hf-token"
    status, plan = await rest.call("DELETE", "/v1/tenants/search?cascade=true&dryRun=true")
    assert (status, plan["kept"]) == (200, [said])
    assert "Namespace search" not in {change["object"] for change in plan["changes"]}
    assert not [reason for reason in plan["reasons"] if "Namespace search" in reason]
    code, out, _ = await tidegate("delete", "tenant", "search", "--cascade", server=rest.server)
    assert code == 0 and f"  {said}\n" in out
    await until(lambda: _gone(rest.fleet, "Tenant", "search"), "the tenant being gone")
    assert await rest.fleet.get("Secret", "hf-token", "search")


async def test_nothing_is_said_to_stay_where_nothing_does(rest):
    _, plan = await rest.call("DELETE", "/v1/tenants/search?cascade=true&dryRun=true")
    assert plan["kept"] == [] and "Namespace search" in {change["object"] for change in plan["changes"]}


async def test_a_namespace_that_was_there_before_its_tenant_stays(rest):
    await rest.fleet.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "old"}})
    await rest.fleet.apply(tenant("team", namespace="old"))

    async def accepted():
        return (await rest.fleet.condition("Tenant", "team", "Accepted")).get("reason")

    await until(accepted, "the tenant")
    _, plan = await rest.call("DELETE", "/v1/tenants/team?dryRun=true")
    assert plan["kept"] in (["Namespace old stays, as Tidegate did not make it"], [])
    labels = (await rest.fleet.get("Namespace", "old"))["metadata"].get("labels", {})
    assert bool(plan["kept"]) == ("app.kubernetes.io/managed-by" not in labels)


async def test_pods_that_tidegate_did_not_make_stay(rest):
    theirs = model("theirs", versions=[{"name": "v1", "existing": {"labels": {"app": "theirs"}}}])
    await rest.call("PUT", "/v1/tenants/search/models/theirs", {"spec": theirs["spec"]})
    _, answer = await rest.call("DELETE", "/v1/tenants/search/models/theirs")
    assert answer["kept"] == ["the pods of Model search/theirs, version v1, stay, as Tidegate did not make them"]


async def _gone(fleet, kind, name):
    return await fleet.get(kind, name) is None


@pytest.mark.parametrize(
    ("tenants", "reason", "words"),
    [
        (["nobody"], "TenantNotFound", "there is no tenant nobody, so the grant gives no right"),
        (["search", "ads"], "TenantNotFound", "there is no tenant ads, so the grant holds in the others only"),
        (["search"], "ResolvedRefs", "all tenants that it names exist"),
    ],
)
async def test_a_grant_for_a_tenant_that_is_not_there_is_told(rest, tenants, reason, words):
    spec = {"role": "viewer", "users": ["anna"], "tenants": tenants}
    await rest.fleet.apply({"apiVersion": API, "kind": "AccessGrant", "metadata": {"name": "g"}, "spec": spec})

    async def told():
        found = await rest.fleet.condition("AccessGrant", "g", "ResolvedRefs")
        return found if found.get("reason") == reason else None

    assert words in (await until(told, f"the grant saying {reason}"))["message"]


async def test_a_pause_and_its_end_are_in_the_history(rest):
    assert (await tidegate("pause", "search/ranker", "--reason", "card is hot", server=rest.server))[0] == 0
    await until(lambda: _revisions(rest, 2), "the revision of the pause")
    assert (await tidegate("resume", "search/ranker", "--ticket", "OPS-7", server=rest.server))[0] == 0
    found = await until(lambda: _revisions(rest, 3), "the revision of its end")
    told = [(item["reason"], item["ticket"]) for item in found]
    assert ("paused: card is hot", "") in told and ("resumed", "OPS-7") in told


async def _revisions(rest, count):
    _, found = await rest.call("GET", "/v1/tenants/search/models/ranker/history")
    return found["items"] if len(found["items"]) >= count else None
