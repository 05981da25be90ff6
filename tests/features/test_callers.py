"""Callers: written by API, told what they may call, and over when their time is over."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.features.conftest import make_search
from tests.support.caller_documents import caller, issuer
from tests.support.documents import model, tenant
from tests.support.waiting import until

ROOT = "/v1/tenants/search/callers"
ONE = f"{ROOT}/app1"
KNOWN = {"issuers": [issuer()]}


@pytest.fixture
async def rest(fleet):
    async with fleet.manager() as manager, fleet.rest(manager) as calls:
        await make_search(fleet)
        calls.fleet, calls.manager = fleet, manager
        yield calls


async def active(fleet, name: str = "app1") -> str:
    return (await fleet.condition("Caller", name, "Active", "search")).get("reason", "")


async def is_active(fleet, reason: str) -> bool:
    return await active(fleet) == reason


async def says_required(fleet) -> bool:
    return (await fleet.get("Tenant", "search"))["status"].get("authentication") == "required"


async def test_a_caller_is_written_and_says_what_it_may_call(rest):
    fleet = rest.fleet
    assert (await rest.call("PUT", ONE, {"spec": {"models": ["ranker", "later"]}}))[0] == 201
    await until(lambda: is_active(fleet, "NoAuthentication"), what="the tenant that does not ask")
    await fleet.apply(tenant(authentication=KNOWN))
    await until(lambda: is_active(fleet, "Active"), what="the tenant that asks")
    missing = await fleet.condition("Caller", "app1", "ResolvedRefs", "search")
    assert missing["reason"] == "ModelNotFound" and "there is no model later" in missing["message"]
    assert (await rest.call("PATCH", ONE, {"spec": {"suspended": True}}))[0] == 200
    await until(lambda: is_active(fleet, "Suspended"), what="the suspended caller")
    await until(lambda: says_required(fleet), what="the tenant's status")
    status, found = await rest.call("GET", ROOT)
    assert status == 200 and [one["metadata"]["name"] for one in found["items"]] == ["app1"]
    assert (await rest.call("DELETE", ONE))[0] == 202


async def test_a_caller_expires_by_itself(rest):
    await rest.fleet.apply(tenant(authentication={}))
    ends = (datetime.now(UTC) + timedelta(seconds=3)).isoformat()
    assert (await rest.call("PUT", ONE, {"spec": {"expires": ends}}))[0] == 201
    await until(lambda: is_active(rest.fleet, "Active"), what="the caller")
    await until(lambda: is_active(rest.fleet, "Expired"), what="the caller whose time is over")


async def test_what_is_wrong_is_refused_with_its_field(rest):
    status, answer = await rest.call("PUT", ONE, {"spec": {"models": ["ranker"], "modelLabels": {"a": "b"}}})
    assert status == 422 and "give models or modelLabels" in answer["problems"][0]["message"]
    body = {"spec": tenant(authentication={"issuers": [issuer(jwks="{}")]})["spec"]}
    status, answer = await rest.call("PUT", "/v1/tenants/search?dryRun=true", body, {"If-Match": "*"})
    assert status == 422 and answer["problems"][0]["field"] == "spec.authentication.issuers[0].jwks"


async def test_a_caller_in_no_tenants_namespace_says_so(rest):
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "elsewhere"}}
    await rest.fleet.apply(namespace, caller(namespace="elsewhere"))

    async def is_refused() -> bool:
        found = await rest.fleet.condition("Caller", "app1", "Accepted", "elsewhere")
        return found.get("reason") == "NotFound" and "create the Tenant first" in found["message"]

    await until(is_refused, what="the caller without a tenant")


async def test_a_model_on_an_http_route_says_that_no_gateway_asks(rest):
    existing = {"versions": [{"name": "v1", "existing": {"labels": {"a": "b"}}}], "routes": []}
    await rest.fleet.apply(tenant(authentication={}), model("web", attachTo={"httpRoute": "web"}, **existing))

    async def is_told() -> bool:
        found = await rest.fleet.condition("Model", "web", "CallersChecked", "search")
        return found.get("status") == "False" and "access: public" in found["message"]

    await until(is_told, what="the model that is not guarded")
