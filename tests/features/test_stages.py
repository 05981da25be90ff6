"""Shadow, ramp, enforce, and limits of single versions, on real Envoys."""

import asyncio

import pytest

from tests.features.test_standalone import RANKER, make_search
from tests.support.bucket import admissible
from tests.support.standalone import QUICK, offer, ranker, standalone
from tests.support.waiting import until

pytestmark = pytest.mark.xdist_group("stages")


async def limited(run, **limit) -> None:
    await run.put(RANKER, ranker(rateLimit={"perReplicaQps": 20, "debounce": QUICK, **limit}))


async def told(run) -> dict:
    """Return the condition that says where the limit comes from."""
    _, model = await run.rest.call("GET", RANKER)
    return next(c for c in model["status"]["conditions"] if c["type"] == "Limited")


async def is_told(run, reason) -> bool:
    return (await told(run))["reason"] == reason


async def observed(run) -> dict:
    _, limit = await run.rest.call("GET", f"{RANKER}/limit")
    return limit.get("observed") or {"refused": 0, "requests": 0}


async def proved(run) -> bool:
    _, limit = await run.rest.call("GET", f"{RANKER}/limit")
    return [pod["state"] for pod in limit["pods"]] == ["Applied", "Applied"]


async def listeners(run, addresses) -> list[dict[str, int]]:
    pattern = "listener_manager.*(added|modified|removed)$|lds.config_reload$|rds.*config_reload$"
    return [await run.stats(address, pattern) for address in addresses]


async def test_shadow_refuses_nothing_counts_what_it_would_have_and_ramp_leads_to_enforce_by_ecds_alone(tmp_path):
    async with standalone(tmp_path) as run:
        addresses = await make_search(run)
        before = await listeners(run, addresses)
        await limited(run, mode="shadow")
        await until(lambda: is_told(run, "Shadow"), "the limit being in shadow")
        await until(lambda: proved(run), "the gateway pods running it")
        await asyncio.sleep(6)  # one reading, from which the next ones count
        load = await offer(addresses, 120, 6)
        assert set(load.answers) == {200} and not load.errors
        # A reading may fall into the last moment of the load: what counts is the one after it.
        await until(lambda: _counted(run, 716), "the counters being read")
        found = await observed(run)
        assert found["requests"] == pytest.approx(720, abs=4)  # a counter misses the first request of its pod
        least, most = admissible(load.sent.values(), 20)
        assert least <= found["requests"] - found["refused"] <= most
        said = f"would have rejected {found['refused']} of {found['requests']} requests"
        await until(lambda: _says(run, said), "the condition")
        assert (await told(run))["status"] == "False"

        await limited(run, mode="ramp", ramp={"over": "20s"})
        await until(lambda: is_told(run, "Ramp"), "the ramp")
        load = await offer(addresses, 120, 24)
        by_second = [load.by_second[second] for second in range(24)]
        assert sum(by_second[:4]) > 0.7 * 4 * 120 and sum(by_second[-3:]) < 0.5 * 3 * 120, by_second
        assert await listeners(run, addresses) == before

        await limited(run, mode="enforce")
        await until(lambda: is_told(run, "Capacity"), "the limit being enforced")
        await until(lambda: proved(run), "the gateway pods running it")
        load = await offer(addresses, 120, 4)
        least, most = admissible(load.sent.values(), 20)
        assert least <= load.answers[200] <= most
        assert await listeners(run, addresses) == before


async def _says(run, words) -> bool:
    return words in (await told(run))["message"]


async def _counted(run, requests) -> bool:
    return (await observed(run))["requests"] >= requests


async def test_a_version_with_a_limit_of_its_own_is_held_to_it_and_the_others_are_not(tmp_path):
    async with standalone(tmp_path) as run:
        addresses = await make_search(run)
        (v1,) = ranker()["spec"]["versions"]
        v2 = {**v1, "name": "v2", "rateLimit": {"ceiling": 8}, "workload": {**v1["workload"], "replicas": 1}}
        traffic = [{"version": "v1", "weight": 50}, {"version": "v2", "weight": 50}]
        await run.put(
            RANKER, ranker(versions=[v1, v2], traffic=traffic, rateLimit={"perReplicaQps": 20, "debounce": QUICK})
        )
        await until(lambda: _own_total(run, 8), "the canary's limit")
        await run.limit(80)  # two replicas of 20/s for half of the traffic
        await until(lambda: proved(run), "the gateway pods running it")
        await asyncio.sleep(1)
        before = [await _served(run, addresses, version) for version in ("v1", "v2")]
        load = await offer(addresses, 60, 6)
        v1_served, v2_served = [await _served(run, addresses, version) for version in ("v1", "v2")]
        assert v2_served - before[1] == pytest.approx(6 * 8, abs=8)
        assert v1_served - before[0] == pytest.approx(6 * 30, rel=0.2)
        assert load.answers[429] == pytest.approx(6 * 22, rel=0.25)


async def _own_total(run, total) -> bool:
    _, limit = await run.rest.call("GET", f"{RANKER}/limit")
    return any(own["total"] == total for own in limit.get("versions", []))


async def _served(run, addresses, version) -> int:
    pattern = f"cluster.outbound.*8080.{version}.*upstream_rq_total$"
    return sum([sum((await run.stats(address, pattern)).values()) for address in addresses])
