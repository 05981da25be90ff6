"""Hosts: who has each, how they change hands, and paths that their owners lend."""

import asyncio

import pytest

from tests.features.conftest import make_search
from tests.support.documents import HOST, gateway, model, tenant
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


async def test_a_host_that_is_served_stays_and_the_last_one_that_is_not_can_go(rest):
    for method, body in (("PUT", {"tenant": "ads", "from": "search"}), ("DELETE", None)):
        status, said = await rest.call(method, f"/v1/claims/{HOST}", body)
        assert status == 409
        assert "is served by search/ranker; move or delete these routes first" in said["problems"][0]["message"]
    last = "ads.models.example.com"
    assert await rest.call("DELETE", f"/v1/claims/{last}") == (200, {"released": last})
    assert await rest.call("DELETE", f"/v1/claims/{OLD}") == (200, {"released": OLD})
    assert OLD not in await owners(rest)
    status, said = await rest.call("DELETE", f"/v1/claims/{OLD}")
    assert (status, said["detail"]) == (404, f"no tenant claims {OLD}")


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
    assert (status, said["problems"][0]["message"]) == (
        409,
        f"host {HOST} belongs to another tenant; use a host of tenant ads",
    )
    lent = claims(HOST, OLD, lent=[{"path": "/ads", "tenant": "ads"}])
    assert (await rest.call("PUT", "/v1/tenants/search", lent))[0] == 200
    assert (await rest.call("PUT", guest, at("/ads/v1", "guest", "ads")))[0] == 201
    status, said = await rest.call("PUT", guest, at("/adsense", "guest", "ads"))
    assert (status, "belongs to another tenant" in str(said)) == (409, True)
    status, said = await rest.call("PUT", "/v1/tenants/search/models/mine", at("/ads/v2", "mine", "search"))
    assert (status, "path /ads of host search.models.example.com is delegated to tenant ads" in str(said)) == (
        409,
        True,
    )
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
        ([{"path": "/a", "tenant": "search"}], "search owns this host"),
        ([{"path": "/a", "tenant": "Ads"}], "not a DNS label"),
    ],
)
async def test_what_cannot_be_lent_is_refused(rest, delegations, said):
    status, problem = await rest.call("PUT", "/v1/tenants/search", claims(HOST, OLD, lent=delegations))
    assert status == 422 and said in str(problem["problems"]), problem


LENT = claims(HOST, OLD, lent=[{"path": "/ads", "tenant": "ads"}])
GUEST = "/v1/tenants/ads/models/guest"
OWN = "ads.models.example.com"


def at(path: str, name: str, namespace: str, host: str = HOST, **more) -> dict:
    return {"spec": model(name, namespace, routes=[{"host": host, "path": path, "port": 8080, **more}])["spec"]}


@pytest.fixture
async def lent(rest):
    """Lend /ads to ads, whose model serves a path of it and one on its own host."""
    assert (await rest.call("PUT", "/v1/tenants/search", LENT))[0] == 200
    both = [{"host": HOST, "path": "/ads/v1", "port": 8080}, {"host": OWN, "path": "/v1", "port": 8080}]
    assert (await rest.call("PUT", GUEST, {"spec": model("guest", "ads", routes=both)["spec"]}))[0] == 201
    await until(lambda: routed(rest, {HOST, OWN}), what="the guest's routes")
    return rest


async def routed(rest, hosts: set[str]) -> bool:
    found = await rest.fleet.get("VirtualService", "guest", "ads")
    return set(found["spec"]["hosts"]) == hosts if found else not hosts


async def accepted(rest, path: str, body: dict) -> bool:
    return (await rest.call("PUT", path, body))[0] in (200, 201)


async def test_a_guest_that_is_refused_keeps_its_own_routes_and_frees_the_path_for_its_owner(lent):
    assert (await lent.call("PUT", "/v1/tenants/search", claims(HOST, OLD)))[0] == 200
    await until(lambda: routed(lent, {OWN}), what="the guest losing the path, and no more")
    mine = "/v1/tenants/search/models/mine"
    await until(lambda: accepted(lent, mine, at("/ads/v1", "mine", "search")), what="the path being its owner's")
    condition = await lent.fleet.condition("Model", "guest", "Accepted", "ads")
    assert condition["status"] == "False" and "belongs to another tenant" in condition["message"]


async def test_a_model_of_which_nothing_is_left_has_no_route_and_keeps_its_replicas(lent):
    assert (await lent.call("PUT", GUEST, at("/ads/v1", "guest", "ads")))[0] == 200
    await until(lambda: routed(lent, {HOST}), what="the guest's one route")
    assert (await lent.call("PUT", "/v1/tenants/search", claims(HOST, OLD)))[0] == 200
    await until(lambda: routed(lent, set()), what="the route being taken away")
    assert await lent.fleet.get("Deployment", "guest-v1", "ads")


async def test_a_guest_whose_tenant_is_refused_keeps_its_path(lent):
    await lent.fleet.apply(tenant("ads", gateway={"name": "absent"}))

    async def told() -> bool:
        return (await lent.fleet.condition("Tenant", "ads", "Accepted")).get("status") == "False"

    await until(told, what="the tenant being refused")
    await lent.fleet.settled(1.0)
    found = await lent.fleet.get("Gateway", "tenant-search", "inference-gw")
    assert f"ads/{HOST}" in found["spec"]["servers"][0]["hosts"] and await routed(lent, {HOST, OWN})


async def test_an_owner_cannot_stand_before_its_guests(lent):
    mine = "/v1/tenants/search/models/mine"
    for more in ({"headers": {"x-variant": "b"}}, {}):
        routes = [{"host": HOST, "path": "/", "port": 8080, **more}]
        routes += [] if more else [{"host": OLD, "path": "/x", "port": 8080}]
        status, said = await lent.call("PUT", mine, {"spec": model("mine", routes=routes)["spec"]})
        assert status == 409 and "contains /ads, which is delegated to tenant ads" in str(said["problems"]), more
    assert (await lent.call("PUT", mine, at("/", "mine", "search")))[0] == 201


async def test_what_the_owner_serves_itself_is_not_lent(lent):
    wider = claims(HOST, OLD, lent=[{"path": "/v2/models", "tenant": "ads"}])
    status, said = await lent.call("PUT", "/v1/tenants/search", wider)
    assert status == 409
    assert (
        said["problems"][0]["message"]
        == "path /v2/models is served by this tenant's model ranker; move or delete that model's route before delegating the path"
    )


async def test_an_owner_whose_guests_serve_does_not_go(lent):
    status, said = await lent.call("DELETE", "/v1/tenants/search?cascade=true")
    assert (status, "delegates paths to ads, which serve them" in str(said["problems"])) == (409, True)
    assert (await lent.call("DELETE", GUEST))[0] == 202
    await until(lambda: routed(lent, set()), what="the guest's route being gone")
    assert (await lent.call("DELETE", "/v1/tenants/search?cascade=true"))[0] == 202


async def test_a_guest_at_another_gateway_is_told(rest):
    await rest.fleet.apply(gateway("other", "other-gw"))
    await until(lambda: accepted(rest, "/v1/tenants/far", {"spec": far()}), what="the tenant at the other gateway")
    assert await accepted(rest, "/v1/tenants/search", claims(HOST, OLD, lent=[{"path": "/far", "tenant": "far"}]))
    await until(lambda: accepted(rest, "/v1/tenants/far/models/guest", at("/far", "guest", "far")), what="the model")

    async def told() -> bool:
        condition = await rest.fleet.condition("Model", "guest", "Programmed", "far")
        return f"{HOST} is served by gateway shared and this tenant by gateway other" in condition.get("message", "")

    await until(told, what="the guest being told")
    found = await rest.fleet.get("VirtualService", "guest", "far")
    assert found is None or found["spec"]["gateways"] == ["other-gw/tenant-far"]


def far() -> dict:
    return tenant("far", gateway={"name": "other"})["spec"]
