"""Who may do what, with tokens that a real API server vouches for, at the manager as it is installed."""

import json
from collections.abc import AsyncIterator

import aiohttp
import pytest

from e2e.support.site import SYSTEM, Site, kubectl
from tests.support.waiting import until

PERSON = "oncall"


@pytest.fixture
async def as_oncall(site: Site, tenant: str) -> AsyncIterator[aiohttp.ClientSession]:
    """Talk to the manager with the token of a service account that operates one tenant."""
    user = f"system:serviceaccount:{SYSTEM}:{PERSON}"
    kubectl("-n", SYSTEM, "create", "serviceaccount", PERSON)
    grant = {"role": "tenantOperator", "users": [user], "tenants": [tenant]}
    await site.rest.ok("PUT", "/v1/grants/oncall", {"spec": grant})
    address = kubectl("-n", SYSTEM, "get", "service", "tidegate", "-o", "jsonpath={.spec.clusterIP}")
    try:
        async with aiohttp.ClientSession(f"http://{address}", headers=bearing("tidegate")) as session:
            yield session
    finally:
        await site.rest.call("DELETE", "/v1/grants/oncall")
        kubectl("-n", SYSTEM, "delete", "serviceaccount", PERSON)


def bearing(audience: str) -> dict[str, str]:
    token = kubectl("-n", SYSTEM, "create", "token", PERSON, "--audience", audience).strip()
    return {"Authorization": f"Bearer {token}"}


async def test_a_service_account_operates_its_tenant_and_sees_no_other(
    site: Site, gateways: list[str], as_oncall: aiohttp.ClientSession, tenant: str
):
    await site.make_tenant(tenant)
    await site.make_tenant(f"{tenant}-b")

    async def call(method: str, path: str, body: object = None) -> tuple[int, dict]:
        async with as_oncall.request(method, path, json=body) as answer:
            return answer.status, await answer.json()

    status, told = await call("GET", "/v1/whoami")
    assert (status, told["user"]) == (200, f"system:serviceaccount:{SYSTEM}:{PERSON}")
    assert told["grants"] == [{"role": "tenantOperator", "tenants": [tenant], "rights": ["operate", "read"]}]
    status, found = await call("GET", "/v1/tenants")
    assert [obj["metadata"]["name"] for obj in found["items"]] == [tenant]
    assert (await call("GET", f"/v1/tenants/{tenant}"))[0] == 200
    assert (await call("GET", f"/v1/tenants/{tenant}-b"))[0] == 404
    assert (await call("PUT", f"/v1/tenants/{tenant}/models/ranker", {"spec": {}}))[0] == 403
    assert (await call("PUT", f"/v1/tenants/{tenant}", {"spec": {}}))[0] == 403
    async with as_oncall.get("/v1/whoami", headers=bearing("https://kubernetes.default.svc.cluster.local")) as answer:
        assert answer.status == 401
    await until(lambda: refusals(told["user"]) == {("GET", 404), ("PUT", 403)}, "the audit trail having both refusals")


def refusals(user: str) -> set[tuple[str, int]]:
    """Return method and status of the calls of a user that the audit trail has."""
    logs = kubectl("-n", SYSTEM, "logs", "-l", "app.kubernetes.io/name=tidegate", "--tail=-1")
    trail = [json.loads(line) for line in logs.splitlines() if line.startswith('{"time"')]
    return {(line["method"], line["status"]) for line in trail if line["user"] == user}
