"""Matches and sticky weights on real gateways: who carries the header comes to its version, who returns comes back."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager

import aiohttp
import pytest

from e2e.support.collectors import with_collectors
from e2e.support.load import Load
from e2e.support.site import QUICK, Site, host_of, path_of, version
from tests.support.waiting import until

pytestmark = pytest.mark.own_cluster
EACH = 200
CALLERS = [f"user-{number}" for number in range(60)]
MATCHES = [
    {"name": "testers", "headers": {"x-arm": {"exact": "b"}}, "version": "v2"},
    {"name": "beta", "cookie": {"name": "arm", "value": "b"}, "version": "v2"},
]
Ask = Callable[..., Awaitable[str]]
ASKED = {"testers": 40, "beta": 20, "weights": 30}
WINDOW = 10
"""Seconds of a step of statistics."""


@pytest.fixture(scope="module", autouse=True)
def parts(installed):
    """Have collectors, which count requests by arm."""
    with with_collectors():
        yield


def asking(session: aiohttp.ClientSession, gateways: list[str], tenant: str) -> Ask:
    """Return what asks a gateway pod, each in turn, for the version that answers; for the status if none does."""
    turn = iter(range(10**9))

    async def ask(**headers: str) -> str:
        address = gateways[next(turn) % len(gateways)]
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        url = f"http://{address}:8080{path_of('ranker')}"
        async with session.get(url, headers={"Host": host_of(tenant), **sent}) as answer:
            return (await answer.json())["version"] if answer.status == 200 else str(answer.status)

    return ask


@asynccontextmanager
async def callers(gateways: list[str], tenant: str):
    async with aiohttp.ClientSession() as session:
        yield asking(session, gateways, tenant)


async def make(site: Site, tenant: str, v2: int, env: str = "", **spec: object) -> None:
    """Make a model of two versions whose weights are v1 and `v2`; `env` is in the pods of v2."""
    versions = [version(2), version(2, "v2", MODEL_NOTE=env)]
    traffic = [
        {"version": name, "weight": weight} for name, weight in (("v1", 100 - v2), ("v2", v2)) if weight or name == "v1"
    ]
    limit = {"perReplicaQps": EACH, "debounce": QUICK}
    await site.make_model_document(tenant, versions=versions, traffic=traffic, rateLimit=limit, **spec)


async def answers(ask: Ask, wanted: str, **headers: str) -> bool:
    """Tell whether some requests in a row have come to a version."""
    return all([await ask(**headers) == wanted for _ in range(4)])


async def test_a_header_or_a_cookie_decides_and_v2_rolls_without_loss(site: Site, gateways: list[str], tenant: str):
    await site.make_tenant(tenant)
    await make(site, tenant, 0, trafficMatches=MATCHES)
    async with callers(gateways, tenant) as ask:
        await site.until_enforced(2 * EACH, tenant)
        await until(lambda: answers(ask, "v2", x_arm="b"), "the header leading to v2")
        assert await answers(ask, "v2", Cookie="a=1; arm=b")
        assert await answers(ask, "v1") and await answers(ask, "v1", x_arm="c")
        await arms_are_counted(site, ask, tenant)
        load = Load(host_of(tenant), path_of("ranker"), rate=10)
        matched: list[str] = []
        async with load.on(*gateways):
            await make(site, tenant, 0, env="again", trafficMatches=MATCHES)
            await until(lambda: rolled(site, tenant), "v2 rolling")
            matched += [await ask(x_arm="b") for _ in range(100)]
        assert not load.outcome.strange, load.outcome.counts
        assert set(matched) == {"v2"}
        await scale(site, tenant, 0)
        await until(lambda: answers(ask, "v1", x_arm="b"), "requests of a version without a replica going by weights")
        assert (await site.condition("Model", "ranker", "TrafficMatched", tenant))["status"] == "False"
        await scale(site, tenant, 1)
        await until(lambda: answers(ask, "v2", x_arm="b"), "the header leading to v2 again")


async def arms_are_counted(site: Site, ask: Ask, tenant: str) -> None:
    """Ask a number of times by each arm, from the beginning of a step, and compare what statistics say of it."""
    begin = (int(time.time()) // WINDOW + 1) * WINDOW
    await asyncio.sleep(begin + 0.2 - time.time())
    sent = [{"x_arm": "b"}] * ASKED["testers"] + [{"Cookie": "arm=b"}] * ASKED["beta"] + [{}] * ASKED["weights"]
    seen = [await ask(**headers) for headers in sent]
    assert seen == ["v2"] * 60 + ["v1"] * 30
    end = (int(time.time()) // WINDOW + 1) * WINDOW
    span = f"from={begin}&to={end}&step={WINDOW}s"

    async def counted(query: str) -> dict[str, int]:
        found = await site.rest.ok("GET", f"/v1/tenants/{tenant}/models/ranker/stats?{span}&{query}")
        sums: dict[str, int] = {}
        for item in found["items"]:
            name = item.get("arm") or item.get("version") or ""
            sums[name] = sums.get(name, 0) + item["demand"]
        return sums

    async def are_all() -> bool:
        return await counted("by=arm") == ASKED

    await until(are_all, f"statistics of {ASKED}")
    assert await counted("by=version") == {"v2": 60, "v1": 30}
    assert await counted("by=version&arm=weights") == {"v1": 30} and await counted("arm=beta") == {"": 20}
    print(f"by arm: {await counted('by=arm')}")


async def scale(site: Site, tenant: str, replicas: int) -> None:
    path = f"/v1/tenants/{tenant}/models/ranker/versions/v2/scale"
    await site.rest.ok("PUT", path, {"replicas": replicas})


async def rolled(site: Site, tenant: str) -> bool:
    found = await site.get("Deployment", "ranker-v2", tenant) or {}
    status, wanted = found.get("status", {}), found.get("spec", {}).get("replicas")
    is_current = status.get("observedGeneration") == found.get("metadata", {}).get("generation")
    env = found["spec"]["template"]["spec"]["containers"][0].get("env", [])
    has_env = any(one.get("value") == "again" for one in env)
    return has_env and is_current and status.get("updatedReplicas") == status.get("readyReplicas") == wanted


async def test_callers_stay_and_move_in_one_direction(site: Site, gateways: list[str], tenant: str):
    await site.make_tenant(tenant)
    seen = dict.fromkeys(CALLERS, "v1")
    async with callers(gateways, tenant) as ask:
        for weight in (25, 50, 100):
            await make(site, tenant, weight, sticky={"header": "x-user-id"})
            await until(lambda weight=weight: splits(site, tenant, weight), f"weights of {weight}")
            await until(lambda: is_steady(ask), "both gateway pods keeping callers on one version")
            now = await until(lambda weight=weight: divided(ask, weight), f"callers divided at {weight} %")
            assert [caller for caller in CALLERS if (seen[caller], now[caller]) == ("v2", "v1")] == [], weight
            print(f"sticky at {weight} %: {list(now.values()).count('v2')} of {len(CALLERS)} callers at v2")
            seen = now


async def splits(site: Site, tenant: str, weight: int) -> bool:
    route = await site.get("VirtualService", "ranker", tenant) or {"spec": {"http": []}}
    parts = [part for rule in route["spec"]["http"] for part in rule.get("route", ())]
    return {part["destination"]["subset"]: part["weight"] for part in parts}.get("v2") == weight


async def divided(ask: Ask, weight: int) -> dict[str, str]:
    """Return the version of each caller once as many as a weight says, or nearly, come to v2."""
    found = {caller: await ask(x_user_id=caller) for caller in CALLERS}
    share = list(found.values()).count("v2") / len(CALLERS)
    is_near = abs(share - weight / 100) < (0.2 if weight < 100 else 0.001)
    return found if is_near and set(found.values()) <= {"v1", "v2"} else {}


async def is_steady(ask: Ask) -> bool:
    """Tell whether each caller comes to one version, at every gateway pod."""
    for caller in CALLERS[:10]:
        found = {await ask(x_user_id=caller) for _ in range(4)}
        if len(found) > 1 or not found <= {"v1", "v2"}:
            return False
    return True
