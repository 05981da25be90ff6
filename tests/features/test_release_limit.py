"""The limit of a model while versions take over from each other: at every step what its warm replicas can serve."""

import asyncio
from itertools import pairwise

import pytest

from istio_templates.envoy_filter import limits_of
from ratelimiter.slots import slot_of
from tests.features.test_release import add_replicas, document, passed, run, weights
from tests.support.direct_api import Cluster
from tests.support.served_requests import ServedRequests, VersionBehaviour

EACH = 20
"""Requests/s that a replica of the test's model serves."""
SETTLED = 10
"""Seconds after which a limit that falls has its place in the slot, by its debounce and the cadence of ticks."""


def limit(cluster: Cluster) -> float:
    """Return the requests/s of the model's limit, by the slots of the one gateway pod."""
    numbers = [slot_of("search", "ranker", restless) for restless in (False, True)]
    slots = [cluster.find("EnvoyFilter", f"tidegate-shared-slot-{number:02d}", "inference-gw") for number in numbers]
    return sum(float(bucket.rate) for slot in slots for _, bucket in limits_of(slot or {}))


@pytest.mark.parametrize("replicas", [2, 4])
@pytest.mark.parametrize("behaviour", [VersionBehaviour(), VersionBehaviour(errors=0.2)], ids=["good", "bad"])
def test_no_version_gets_more_of_the_limit_than_its_warm_replicas_serve(behaviour, replicas):
    requests = ServedRequests(behaviour={"v2": behaviour})
    samples: list[tuple[dict[str, int], float]] = []

    async def check(cluster: Cluster) -> None:
        await add_replicas(cluster, "v2", replicas)
        await cluster.apply(document("v2"))

        async def watch() -> None:
            while True:
                samples.append((weights(cluster), limit(cluster)))
                await asyncio.sleep(1)

        watching = asyncio.create_task(watch())
        await passed(cluster, lambda: weights(cluster).get("v2", 0) > 0)
        ends = {"v1": 100} if behaviour.errors > 0.1 else {"v1": 50, "v2": 50} if replicas == 2 else {"v2": 100}
        await passed(cluster, lambda: weights(cluster) == ends)
        await asyncio.sleep(60)
        watching.cancel()

    run(check, requests)
    served = {"v1": 4 * EACH, "v2": replicas * EACH}
    since = 0
    for before, (shares, total) in pairwise([(samples[0]), *samples]):
        since = 0 if before[0] != shares else since + 1
        least = min(100 * served[name] / share for name, share in shares.items() if share)
        if since >= SETTLED:
            assert total == pytest.approx(least, rel=0.01), (shares, total)
    assert {tuple(shares.items()) for shares, _ in samples} >= {(("v1", 95), ("v2", 5))}
