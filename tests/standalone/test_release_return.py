"""How soon a bad version is back at no requests, with real Envoys: it prints the seconds."""

import asyncio
import copy
import time
from collections import Counter
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.standalone import GATEWAY, HOST, PATH, Running, ranker, standalone
from tests.support.waiting import until

pytestmark = pytest.mark.xdist_group("standalone")
MODEL = "/v1/tenants/search/models/ranker"
SERVER = Path(__file__).parents[2] / "e2e" / "cluster" / "model" / "server.py"
RATE = 30.0
DRAINED = 6
"""Seconds after which the slow version has answered what it was sent before."""
BAD = {
    "errors": ({"MODEL_FAILS": "2"}, 25, {"outcome": "5xx", "max": "5%"}),
    "slow": ({"MODEL_SECONDS": "0.2", "MODEL_AT_ONCE": "1"}, 50, {"quantile": 0.9, "max": "700ms"}),
}
"""By the check that finds it: what makes a version bad, its weight, and the check. The slow one is so under load."""


def document(to: str, check: str) -> dict[str, Any]:
    """Return a model of two versions whose requests go to one of them, the second one bad."""
    env, weight, bounds = BAD[check]
    found: dict[str, Any] = ranker(2, rate=100)
    v1 = found["spec"]["versions"][0]["workload"]
    v1["command"] = ["python", str(SERVER)]
    v2 = copy.deepcopy(v1)
    v2["env"] += [{"name": name, "value": value} for name, value in env.items()]
    rollout = {"steps": [{"weight": weight}], "hold": "10s", "minRequests": 20, "checks": [{"name": check, **bounds}]}
    versions = [{"name": "v1", "workload": v1}, {"name": "v2", "workload": v2}]
    traffic = [{"version": to, "weight": 100}]
    return {"spec": {**found["spec"], "versions": versions, "traffic": traffic, "rollout": rollout}}


async def weights(run: Running) -> dict[str, int]:
    found = await run.kubernetes("/apis/networking.istio.io/v1/namespaces/search/virtualservices/ranker")
    parts = found["spec"]["http"][0]["route"]
    return {part["destination"]["subset"]: part["weight"] for part in parts if part.get("weight")}


async def goes_by(run: Running, wanted: dict[str, int]) -> None:
    async def look() -> bool:
        return await weights(run) == wanted

    await until(look, f"requests going by {wanted}")


@asynccontextmanager
async def load(run: Running, addresses: list[str]):
    """Send requests at a constant rate until the block ends; yield their answers."""
    seen: Counter[int] = Counter()

    async def one(address: str) -> None:
        async with run.session.get(f"http://{address}{PATH}", headers={"Host": HOST}) as answer:
            seen[answer.status] += 1

    async def send() -> None:
        async with asyncio.TaskGroup() as sent:
            while True:
                for address in addresses:
                    sent.create_task(one(address))
                    await asyncio.sleep(1 / RATE)

    sending = asyncio.create_task(send())
    try:
        yield seen
    finally:
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)


async def is_prepared(run: Running, addresses: list[str]) -> bool:
    _, answer = await run.rest.call("GET", MODEL)
    is_warm = [version["ready"] for version in answer["status"].get("versions", [])] == [2, 2]
    return is_warm and await run.serves(addresses) and await weights(run) == {"v1": 100}


@pytest.mark.parametrize("check", BAD)
async def test_a_bad_version_goes_back_by_what_envoys_count_and_again_after_a_retry(check: str, tmp_path: Path) -> None:
    async with standalone(tmp_path / "state") as run:
        await run.put("/v1/gateways/shared", GATEWAY)
        await run.put("/v1/tenants/search", {"spec": {"gateway": {"name": "shared"}, "hosts": [{"name": HOST}]}})
        await run.put(MODEL, document("v1", check))
        addresses = await run.gateways(2)
        await until(lambda: is_prepared(run, addresses), "v1 serving, and both versions being warm")
        async with load(run, addresses) as seen:
            took = [await back(run, check)]
            await asyncio.sleep(DRAINED)
            took.append(await back(run, check))
        print(f"{check}: back at 0 % after {', '.join(f'{one:.1f}' for one in took)} s; {dict(seen)}")
        assert seen.keys() <= ({200, 429, 500} if check == "errors" else {200, 429}), seen


async def back(run: Running, check: str) -> float:
    """Release the bad version; return how many seconds it had requests."""
    await run.put(MODEL, document("v2", check))
    await run.rest.call("PUT", f"{MODEL}/release", {"action": "retry"})
    weight = BAD[check][1]
    await goes_by(run, {"v1": 100 - weight, "v2": weight})
    began = time.monotonic()
    await goes_by(run, {"v1": 100})
    took = time.monotonic() - began
    _, found = await run.rest.call("GET", f"{MODEL}/release")
    (blocked,) = found["release"]["blocked"]
    assert blocked["version"] == "v2" and f"failed: {check}" in blocked["reason"], blocked
    return took
