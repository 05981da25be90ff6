"""A version that fails every second request, brought by Argo Rollouts and by Tidegate in the same minutes: how many
requests fail, and how long until none goes to it."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.support import releases
from e2e.support.argo_rollouts import (
    analysis,
    apply,
    change,
    is_healthy,
    measured,
    pods,
    split,
    status,
    with_argo_rollouts,
    with_subsets,
)
from e2e.support.collectors import with_collectors
from e2e.support.load import Load
from e2e.support.scraping import with_prometheus
from e2e.support.site import Site, host_of, path_of
from tests.support.waiting import until

pytestmark = pytest.mark.own_cluster
RATE, ROUNDS = 30.0, 3
FAILS = {"MODEL_FAILS": "2"}
STEPS = ({"setWeight": 25}, {"pause": {"duration": "10s"}}, {"setWeight": 50}, {"pause": {"duration": "10s"}})
"""As in the rollout of Tidegate's scenarios, which checks every five seconds."""
INTERVAL = "5s"


@pytest.fixture(scope="module", autouse=True)
def parts(installed: None) -> Iterator[None]:
    """Have Argo Rollouts, and the collectors that count for Tidegate."""
    with with_collectors(), with_argo_rollouts():
        yield


async def test_a_bad_version_goes_back(site: Site, gateways: list[str], tenant: str, tmp_path: Path) -> None:
    async with with_prometheus(tmp_path, gateways) as prometheus:
        for number in range(ROUNDS):
            said = await asyncio.gather(
                by_argo_rollouts(site, gateways, f"{tenant}-argo-{number}", prometheus),
                by_tidegate(site, gateways, f"{tenant}-ours-{number}"),
            )
            print("\n".join(said))


async def by_argo_rollouts(site: Site, gateways: list[str], tenant: str, prometheus: str) -> str:
    await site.make_tenant(tenant)
    await until(lambda: site.get("Namespace", tenant), "the namespace")
    template = analysis(tenant, prometheus, INTERVAL)
    background = {"templates": [{"templateName": "errors"}], "startingStep": 1}
    apply(template, *with_subsets(tenant, *STEPS, analysis=background))

    async def is_there() -> bool:
        return await asyncio.to_thread(is_healthy, tenant)

    await until(is_there, "the Rollout at its end")
    load = Load(host_of(tenant), path_of("ranker"), rate=RATE / len(gateways))
    async with load.on(*gateways):
        change(tenant, {"spec": {"template": {"spec": pods("v2", **FAILS)}}})
        await goes_by(site, tenant, 75, 25)
        began = time.monotonic()
        await goes_by(site, tenant, 100, 0)
        back = time.monotonic()
        await load.measure(10)
    found = status(tenant)
    assert found.get("abort") and "errors" in found.get("message", ""), (found, measured(tenant))
    assert not load.outcome.failed_after(back + 2), load.outcome.failed
    return f"Argo Rollouts: back at 0 % after {back - began:.1f} s; {load.outcome.counts}"


async def goes_by(site: Site, tenant: str, *weights: int) -> None:
    async def look() -> bool:
        return await split(site, tenant) == weights

    await until(look, f"{tenant} going by {weights}")


async def by_tidegate(site: Site, gateways: list[str], tenant: str) -> str:
    await releases.prepared(site, tenant, **FAILS)
    load = Load(host_of(tenant), path_of("ranker"), rate=RATE / len(gateways))
    async with load.on(*gateways):
        await releases.make(site, tenant, to="v2", **FAILS)
        await releases.goes_by(site, tenant, v1=75, v2=25)
        began = time.monotonic()
        await releases.goes_by(site, tenant, v1=100)
        back = time.monotonic()
        await load.measure(10)
    assert not load.outcome.failed_after(back + 2), load.outcome.failed
    return f"Tidegate: back at 0 % after {back - began:.1f} s; {load.outcome.counts}"
