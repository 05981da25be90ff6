"""Callers at a real Istio: who has a token is let in, and shut out again at every gateway pod."""

import asyncio
import time
from statistics import median

import aiohttp

from e2e.support.site import QUICK, Site, host_of, path_of
from tests.support.waiting import until

ROUNDS = 5


async def answers(gateways: list[str], tenant: str, token: str | None = None) -> set[tuple[int, str]]:
    """Return status and reason that each gateway pod answers to one request."""
    headers = {"Host": host_of(tenant), **({"Authorization": f"Bearer {token}"} if token else {})}

    async def ask(session: aiohttp.ClientSession, address: str) -> tuple[int, str]:
        async with session.get(f"http://{address}:8080{path_of('ranker')}", headers=headers) as answer:
            refused = answer.status in (401, 403)
            return answer.status, (await answer.json())["reason"] if refused else ""

    async with aiohttp.ClientSession(trust_env=False) as session:
        return set(await asyncio.gather(*(ask(session, address) for address in gateways)))


async def answered(gateways: list[str], tenant: str, token: str | None, *wanted: tuple[int, str]) -> None:
    """Wait until every gateway pod answers so."""

    async def look() -> bool:
        return await answers(gateways, tenant, token) == set(wanted)

    await until(look, f"{wanted} of each gateway pod")


async def test_callers_are_let_in_and_shut_out_at_every_gateway_pod(site: Site, tenant: str):
    gateways = await site.make_gateway("callers")
    await site.make_tenant(tenant, "callers")
    await site.make_model(tenant, rateLimit={"perReplicaQps": 1000, "debounce": QUICK})
    await answered(gateways, tenant, None, (200, ""))
    root = f"/v1/tenants/{tenant}"
    for caller, models in (("app1", ["ranker"]), ("app2", ["other"])):
        await site.rest.ok("PUT", f"{root}/callers/{caller}", {"spec": {"models": models}})
    await site.rest.ok("PATCH", root, {"spec": {"authentication": {}}})
    tokens = [await site.rest.ok("POST", f"{root}/callers/app1/tokens", {"ttl": "1h"}) for _ in range(ROUNDS + 1)]
    other = await site.rest.ok("POST", f"{root}/callers/app2/tokens", {"ttl": "1h"})
    await answered(gateways, tenant, None, (401, "missing"))
    await answered(gateways, tenant, tokens[0]["token"], (200, ""))
    await answered(gateways, tenant, other["token"], (403, "model"))
    assert await answers(gateways, tenant, tokens[0]["token"][:-8] + "AAAAAAAA") == {(401, "unverifiable")}
    took = []
    for token in tokens[1:]:
        assert await answers(gateways, tenant, token["token"]) == {(200, "")}
        began = time.monotonic()
        await site.rest.ok("POST", f"{root}/callers/app1/revocations", {"id": token["id"]})
        await answered(gateways, tenant, token["token"], (401, "revoked"))
        took.append(time.monotonic() - began)
    print(f"revoked at both gateway pods after {median(took):.2f} s at the median, {max(took):.2f} s at most")
    await site.rest.ok("POST", f"{root}/keys/rotate", {})
    newer = await site.rest.ok("POST", f"{root}/callers/app1/tokens", {"ttl": "1h"})
    await answered(gateways, tenant, newer["token"], (200, ""))
    assert await answers(gateways, tenant, tokens[0]["token"]) == {(200, "")}, "the former key verifies on"
    await site.rest.ok("DELETE", f"{root}/callers/app1")
    await answered(gateways, tenant, newer["token"], (403, "unknown"))
    await site.rest.ok("PATCH", root, {"spec": {"authentication": None}})
    await answered(gateways, tenant, None, (200, ""))
