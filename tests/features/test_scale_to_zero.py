"""A model without any replica: its first callers are answered 503 with retry-after, and wake the first one."""

from pathlib import Path

import pytest

from tests.support.standalone import GATEWAY, HOST, PATH, QUICK, Running, ranker, standalone
from tests.support.waiting import until

pytestmark = pytest.mark.xdist_group("standalone")
MODEL = "/v1/tenants/search/models/ranker"
ASLEEP = {"min": 0, "max": 2, "scaleDown": {"window": "10s"}}
LIMIT = {"perReplicaQps": 20, "debounce": QUICK, "fallback": {"cold": "closed"}}


async def asked(run: Running, address: str) -> tuple[int, str | None, str]:
    """Return the status of a request, in how many seconds it may come again, and what it is answered."""
    async with run.session.get(f"http://{address}{PATH}", headers={"Host": HOST}) as answer:
        return answer.status, answer.headers.get("retry-after"), await answer.text()


async def ready(run: Running) -> str:
    _, answer = await run.rest.call("GET", MODEL)
    found = {one["type"]: one for one in answer.get("status", {}).get("conditions", [])}
    return str(found.get("Ready", {}).get("reason"))


async def serves(run: Running, address: str) -> bool:
    return (await asked(run, address))[0] == 200


async def test_the_first_callers_wake_the_first_replica(tmp_path: Path):
    async with standalone(tmp_path / "state") as run:
        await run.put("/v1/gateways/shared", GATEWAY)
        await run.put("/v1/tenants/search", {"spec": {"gateway": {"name": "shared"}, "hosts": [{"name": HOST}]}})
        await run.put(MODEL, ranker(autoscale=ASLEEP, rateLimit=LIMIT))
        (address, *_) = await run.gateways()
        await until(lambda: ready(run), what="a first status")
        await until(lambda: is_asleep(run), what="the model being asleep")
        closed = (503, "30", "search/ranker takes no requests: no replica is ready")
        await until(lambda: answers(run, address, closed), what="its route being closed")
        assert await ready(run) == "ScaledToZero"
        await until(lambda: serves(run, address), what="the first replica serving")
        await run.limit(20)


async def is_asleep(run: Running) -> bool:
    return await ready(run) == "ScaledToZero"


async def answers(run: Running, address: str, wanted: tuple[int, str, str]) -> bool:
    return await asked(run, address) == wanted
