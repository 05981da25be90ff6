"""Hosts: who has each, how they change hands, and paths that their owners lend."""

import asyncio

import pytest

from tests.features.conftest import make_search
from tests.support.documents import HOST, model, tenant
from tests.support.waiting import until

OLD = "old.models.example.com"


def claims(*hosts: str, **delegated: list) -> dict:
    listed = [
        {"name": host, "delegations": delegated.get("lent", [])} if delegated else {"name": host} for host in hosts
    ]
    return {"spec": {**tenant()["spec"], "hosts": listed}}


@pytest.fixture
async def rest(fleet):
    async with fleet.manager() as manager, fleet.rest(manager) as calls:
        await make_search(fleet)
        calls.fleet = fleet
        status, found = await calls.call("PUT", "/v1/tenants/search", claims(HOST, OLD))
        assert status == 200, found
        status, found = await calls.call("PUT", "/v1/tenants/ads", {"spec": tenant("ads")["spec"]})
        assert status == 201, found
        await until(lambda: fleet.get("Namespace", "ads"), what="the namespace of ads")
        await until(lambda: _serves(fleet, "search", OLD), what="the gateway having all hosts")
        yield calls


async def _serves(fleet, name: str, host: str) -> bool:
    found = await fleet.get("Gateway", f"tenant-{name}", "inference-gw")
    return found is not None and host in str(found["spec"]["servers"])


async def owners(rest) -> dict[str, str]:
    _, found = await rest.call("GET", "/v1/claims")
    return {claim["host"]: claim["tenant"] for claim in found["items"]}


async def test_claims_are_listed_with_what_is_served_on_them(rest):
    status, found = await rest.call("GET", "/v1/claims?limit=2")
    assert status == 200 and len(found["items"]) == 2
    _, rest_of = await rest.call("GET", f"/v1/claims?limit=2&continue={found['continue']}")
    listed = {claim["host"]: claim for claim in (*found["items"], *rest_of["items"])}
    assert listed[HOST] == {
        "host": HOST,
        "tenant": "search",
        "gateway": "shared",
        "delegations": [],
        "routes": [{"path": "/v2/models/ranker", "model": "ranker"}],
    }
    assert {host: claim["tenant"] for host, claim in listed.items()} == {
        HOST: "search",
        OLD: "search",
        "ads.models.example.com": "ads",
    }


async def test_a_host_is_handed_over_once_its_owner_is_named_and_nobody_comes_between(rest):
    place = f"/v1/claims/{OLD.upper()}."
    status, said = await rest.call("PUT", place, {"tenant": "ads"})
    assert (status, said["problems"][0]["field"]) == (409, "from")
    assert 'send "from": "search"' in said["problems"][0]["message"]
    thieves = [{"spec": tenant(f"thief-{n}", OLD)["spec"]} for n in range(10)]

    async def thief(number: int) -> int:
        for _ in range(10):
            status, _ = await rest.call("PUT", f"/v1/tenants/thief-{number}", thieves[number])
            if status != 409:
                return status
            await asyncio.sleep(0.02)
        return 409

    handed, *others = await asyncio.gather(
        rest.call("PUT", place, {"tenant": "ads", "from": "search"}), *(thief(n) for n in range(10))
    )
    assert handed == (200, {"host": OLD, "tenant": "ads"}) and set(others) == {409}
    assert (await owners(rest))[OLD] == "ads"
    await until(lambda: _serves(rest.fleet, "ads", OLD), what="the host being served for its new owner")
    assert await rest.call("PUT", place, {"tenant": "ads"}) == (200, {"host": OLD, "tenant": "ads"})


async def test_a_host_that_is_served_or_the_last_one_stays(rest):
    for method, body in (("PUT", {"tenant": "ads", "from": "search"}), ("DELETE", None)):
        status, said = await rest.call(method, f"/v1/claims/{HOST}", body)
        assert status == 409
        assert "is served by search/ranker; move or delete these routes first" in said["problems"][0]["message"]
    status, said = await rest.call("DELETE", "/v1/claims/ads.models.example.com")
    assert (status, said["problems"][0]["field"]) == (422, "spec.hosts")
    assert await rest.call("DELETE", f"/v1/claims/{OLD}") == (200, {"released": OLD})
    assert OLD not in await owners(rest)
    status, said = await rest.call("DELETE", f"/v1/claims/{OLD}")
    assert (status, said["detail"]) == (404, f"nobody claims {OLD}")


@pytest.mark.parametrize(
    ("host", "body", "wanted"),
    [
        ("no_host", {"tenant": "ads"}, 404),
        ("new.example.com", {"tenant": "absent"}, 404),
        ("new.example.com", {}, 422),
        ("new.example.com", {"tenant": 7}, 422),
        ("new.example.com", {"tenant": "ads", "by": "me"}, 422),
        ("*.models.example.com", {"tenant": "ads"}, 409),
    ],
)
async def test_what_is_wrong_with_a_claim_is_said(rest, host, body, wanted):
    status, said = await rest.call("PUT", f"/v1/claims/{host}", body)
    assert status == wanted and said["detail"]
    assert "new.example.com" not in await owners(rest)


async def test_a_free_host_is_given(rest):
    assert (await rest.call("PUT", "/v1/claims/new.example.com", {"tenant": "ads"}))[0] == 200
    assert (await owners(rest))["new.example.com"] == "ads"
    _, revisions = await rest.call("GET", "/v1/tenants/ads/history")
    assert revisions["items"]


async def test_a_lent_path_is_its_guests_alone_until_it_is_taken_back(rest):
    def at(path: str, name: str, namespace: str) -> dict:
        return {"spec": model(name, namespace, routes=[{"host": HOST, "path": path, "port": 8080}])["spec"]}

    guest = "/v1/tenants/ads/models/guest"
    status, said = await rest.call("PUT", guest, at("/ads/v1", "guest", "ads"))
    assert (status, said["problems"][0]["message"]) == (409, f"{HOST} belongs to another tenant; use a host of ads")
    lent = claims(HOST, OLD, lent=[{"path": "/ads", "tenant": "ads"}])
    assert (await rest.call("PUT", "/v1/tenants/search", lent))[0] == 200
    assert (await rest.call("PUT", guest, at("/ads/v1", "guest", "ads")))[0] == 201
    status, said = await rest.call("PUT", guest, at("/adsense", "guest", "ads"))
    assert (status, "belongs to another tenant" in str(said)) == (409, True)
    status, said = await rest.call("PUT", "/v1/tenants/search/models/mine", at("/ads/v2", "mine", "search"))
    assert (status, "/ads of search.models.example.com is delegated to tenant ads" in str(said)) == (409, True)
    status, said = await rest.call("PUT", "/v1/tenants/ads/models/second", at("/v2/models/ranker", "second", "ads"))
    assert (status, "ranker" in str(said["problems"][0]["message"])) == (409, False)

    async def routed() -> bool:
        found = await rest.fleet.get("VirtualService", "guest", "ads")
        return found is not None and found["spec"]["gateways"] == ["inference-gw/tenant-search"]

    await until(routed, what="the guest's route at the owner's Gateway")
    found = await rest.fleet.get("Gateway", "tenant-search", "inference-gw")
    assert f"ads/{HOST}" in found["spec"]["servers"][0]["hosts"]
    plan = (await rest.call("PUT", "/v1/tenants/search?dryRun=true", claims(HOST, OLD)))[1]
    assert plan["risk"] == "high" and "Model ads/guest is no longer accepted" in plan["reasons"]
    assert (await rest.call("PUT", "/v1/tenants/search", claims(HOST, OLD)))[0] == 200

    async def told() -> bool:
        condition = await rest.fleet.condition("Model", "guest", "Accepted", "ads")
        return condition.get("status") == "False"

    await until(told, what="the guest being told")
    found = await rest.fleet.get("Gateway", "tenant-search", "inference-gw")
    assert f"ads/{HOST}" not in found["spec"]["servers"][0]["hosts"]


@pytest.mark.parametrize(
    ("delegations", "said"),
    [
        ([{"path": "/", "tenant": "ads"}], "path / is the whole host"),
        ([{"path": "/a", "tenant": "ads"}, {"path": "/a/b", "tenant": "ads"}], "/a/b lies within /a"),
        ([{"path": "/a/../b", "tenant": "ads"}], "proxies rewrite those"),
        ([{"path": "/a", "tenant": "search"}], "search owns the host"),
        ([{"path": "/a", "tenant": "Ads"}], "not a DNS label"),
    ],
)
async def test_what_cannot_be_lent_is_refused(rest, delegations, said):
    status, problem = await rest.call("PUT", "/v1/tenants/search", claims(HOST, OLD, lent=delegations))
    assert status == 422 and said in str(problem["problems"]), problem
