"""The closed loop in a standalone: a burst is refused in part, replicas come, the limit rises, and they go again."""

import time
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.support.bounds import hung
from tests.support.standalone import GATEWAY, HOST, QUICK, Load, Running, offer, ranker, standalone
from tests.support.waiting import until

pytestmark = pytest.mark.xdist_group("standalone")
MODEL = "/v1/tenants/search/models/ranker"
EACH, LEAST, MOST, BURST = 20, 2, 8, 90.0
LATE = 0.02
"""The share of requests that may be refused although replicas suffice: a sender on a busy machine sends some at once
that were to come one by one."""
AUTOSCALED = {"min": LEAST, "max": MOST, "scaleDown": {"window": "10s", "step": "100%"}}
PLAN = {
    "target": {"protocol": "oip-rest", "port": 8080, "model": "ranker"},
    "cases": [{"name": "typical", "inputs": {"features": {"dtype": "FP32", "shape": [-1, 4]}}}],
    "success": {"latency": {"max": "2s"}},
}
WARM = {"plan": PLAN, "restartDelay": "1s"}


async def test_demand_moves_replicas_and_these_the_limit_and_the_console_shows_both(tmp_path: Path):
    async with standalone(tmp_path / "state") as run:
        addresses = await started(run)
        first = await offer(addresses, BURST, 5)
        assert first.answers[429] > 0 and not first.errors
        later = await served(run, addresses)
        assert later.answers.keys() <= {200, 429} and not later.errors
        console = await shown(run)
        await run.enforced(LEAST * EACH)
        await until(lambda: is_down(run), "the replicas of the burst being gone")
    (warm, asked), limits = (console[name] for name in ("warm", "replicas")), console["limit"]
    top = max(asked)
    assert LEAST < top <= MOST and max(warm) == top and max(limits) == top * EACH
    assert first_above(asked, LEAST) <= first_above(warm, LEAST) <= first_above(limits, LEAST * EACH)


async def started(run: Running) -> list[str]:
    """Make the model with its least replicas; return the addresses of its gateway pods."""
    await run.put("/v1/gateways/shared", GATEWAY)
    await run.put("/v1/tenants/search", {"spec": {"gateway": {"name": "shared"}, "hosts": [{"name": HOST}]}})
    limit = {"perReplicaQps": EACH, "debounce": QUICK}
    await run.put(MODEL, ranker(autoscale=AUTOSCALED, rateLimit=limit, warmup=WARM))
    addresses = await run.gateways()
    await run.enforced(LEAST * EACH)
    await until(lambda: run.serves(addresses), "a 200 from each gateway pod")
    return addresses


async def served(run: Running, addresses: list[str]) -> Load:
    """Go on with the burst, without a pause, until five seconds of it are served; return these."""
    began = time.monotonic()
    while time.monotonic() - began < hung():
        load = await offer(addresses, BURST, 5)
        if load.answers[429] <= LATE * sum(load.answers.values()):
            return load
    raise AssertionError(f"the burst is refused after {hung():.0f} s: {load.answers}, {await scaled(run)}")


async def scaled(run: Running) -> dict[str, Any]:
    """Return what is decided on the version."""
    _, answer = await run.rest.call("GET", f"{MODEL}/explain?about=replicas")
    (version,) = answer["versions"]
    return dict(version)


async def is_down(run: Running) -> bool:
    """Tell whether there are no more replicas than the least number."""
    found = await scaled(run)
    return (found["replicas"], found["current"], found["warm"]) == (LEAST, LEAST, LEAST)


async def shown(run: Running) -> dict[str, list[float]]:
    """Return the columns of the chart on the model's page, once the replicas of the burst stand in them."""
    series = f"{run.link.split('/console/')[0]}/console/tenants/search/models/ranker/series?span=15m"
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True), trust_env=False) as person:

        async def columns() -> dict[str, list[float]] | None:
            async with person.get(series) as answer:
                found = {
                    name: [value or 0.0 for value in line] for name, line in (await answer.json())["columns"].items()
                }
            return found if max(found["warm"]) > LEAST else None

        async with person.get(run.link) as answer:
            assert answer.status == 200, await answer.text()
        found = await until(columns, "the replicas of the burst on the chart")
        async with person.get(series.split("/series")[0]) as answer:
            page = await answer.text()
        assert "Why there are so many replicas" in page and "Signal demand (a guard) is " in page
        return found


def first_above(values: list[float], bound: float) -> int:
    """Return the place of the first value above a bound."""
    return next(place for place, value in enumerate(values) if value > bound)
