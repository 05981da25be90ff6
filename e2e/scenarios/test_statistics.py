"""Collectors in the cluster: what they count together is what was offered, whatever is replaced meanwhile."""

import asyncio
import os
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from e2e.cluster.place import Place
from e2e.support.collectors import with_collectors
from e2e.support.load import Load
from e2e.support.site import SYSTEM, Site, host_of, kubectl, path_of
from istio_templates.facts import Manifest
from tests.support.waiting import until

pytestmark = pytest.mark.own_cluster
COLLECTORS = ("-n", SYSTEM, "-l", "app.kubernetes.io/name=tidegate-collector")
SECONDS, RATE = 120, 200.0


@pytest.fixture(scope="module")
def collectors(installed: None) -> Iterator[None]:
    """Install the collectors."""
    with with_collectors():
        yield


async def test_what_is_counted_is_what_was_offered(
    site: Site, gateways: list[str], tenant: str, collectors: None
) -> None:
    await site.make_tenant(tenant)
    await site.make_model(tenant, replicas=2)
    await site.until_total(40, tenant)
    load = Load(host_of(tenant), path_of("ranker"), rate=RATE / 2)
    async with load.on(*gateways):
        began = time.time()
        asked = await counted(site, tenant, began)
        await load.measure(SECONDS / 4)
        killed = await first_pod(site)
        kubectl("-n", SYSTEM, "delete", "pod", killed, "--grace-period=0", "--force")
        assert await first_pod(site) != killed, "one collector is gone"
        await load.measure(SECONDS / 4)
        for pod in await site.all("Pod", "shared-gw", "istio=shared"):
            rotate(pod)
        await load.measure(SECONDS / 4)
        await roll(site, load, gateways[0])
        await load.measure(SECONDS / 4)
    counts = load.outcome.counts
    assert not load.outcome.strange and sum(counts.values()) > 0.7 * RATE * SECONDS, counts
    found = await until(lambda: settled(site, tenant, began, sum(counts.values())), "all requests in the statistics")
    assert found["limited"] == counts["429"], (found, counts, asked)
    assert 0 <= found["admitted"] - counts["200"] <= 10 * len(gateways), (found, counts, asked)


async def test_a_request_is_in_the_statistics_soon(
    site: Site, gateways: list[str], tenant: str, collectors: None
) -> None:
    await site.make_tenant(tenant)
    await site.make_model(tenant, replicas=1)
    await site.until_total(20, tenant)
    status, found = await site.rest.call("GET", f"/v1/tenants/{tenant}/models/ranker/logs?tail=5")
    assert status == 200 and not [line for line in found["items"] if "problem" in line], found
    load = Load(host_of(tenant), path_of("ranker"), rate=5)
    async with load.on(*gateways):
        began = time.time()
        before = (await counted(site, tenant, began))["demand"]
        late = []
        for _ in range(5):
            await load.measure(1)
            sent, asked = time.time(), sum(load.outcome.counts.values())
            await until(lambda asked=asked: reaches(site, tenant, began, asked), "these requests being counted")
            late.append(time.time() - sent)
    print(f"requests were in the statistics after {', '.join(f'{seconds:.1f} s' for seconds in late)}; {before} before")


async def test_usage_says_what_the_cluster_lacks_and_what_is_requested(
    site: Site, gateways: list[str], tenant: str
) -> None:
    """This cluster has no metrics-server: the manager may ask for metrics, asks, and says what is not there."""
    await site.make_tenant(tenant)
    await site.make_model(tenant, replicas=1)
    await site.until_total(20, tenant)
    for path, name in ((f"/v1/tenants/{tenant}/usage", "model"), (f"/v1/tenants/{tenant}/models/ranker/usage", "pod")):
        status, found = await site.rest.call("GET", path)
        assert status == 200 and found["partial"], found
        assert "has no metrics.k8s.io; install metrics-server" in found["gaps"][0], found
        (item,) = found["items"]
        assert item[name].startswith("ranker") and item["cpu"]["used"] is None, item


async def counted(site: Site, tenant: str, began: float) -> dict[str, int]:
    """Return the sums of a model's counts from some seconds before a moment on."""
    status, found = await site.rest.call(
        "GET", f"/v1/tenants/{tenant}/models/ranker/stats?from={began - 60:.0f}&step=60s"
    )
    assert status == 200, found
    return {name: sum(item[name] for item in found["items"]) for name in ("demand", "admitted", "limited")}


async def reaches(site: Site, tenant: str, began: float, demand: int) -> bool:
    return (await counted(site, tenant, began))["demand"] >= demand


async def settled(site: Site, tenant: str, began: float, demand: int) -> dict[str, int] | None:
    """Return the counts when there are so many, and they do not change any more."""
    found = await counted(site, tenant, began)
    await asyncio.sleep(3)
    return found if found["demand"] >= demand and found == await counted(site, tenant, began) else None


async def first_pod(site: Site) -> str:
    """Return one of the collectors."""
    pods = await site.all("Pod", SYSTEM, COLLECTORS[-1])
    return str(pods[0]["metadata"]["name"])


async def roll(site: Site, load: Load, address: str) -> None:
    """Replace one gateway pod; the load goes to the one that comes."""
    pods = await site.all("Pod", "shared-gw", "istio=shared")
    (name,) = (pod["metadata"]["name"] for pod in pods if pod["status"].get("podIP") == address)
    await load.stop(address)
    kubectl("-n", "shared-gw", "delete", "pod", str(name), "--wait=false")
    (new,) = set(await site.ready_pods("shared-gw", "istio=shared", 2)) - set(load._senders) - {address}
    await load._answers(new, frozenset({"200", "429"}))
    load.start(new)


def rotate(pod: Manifest) -> None:
    """Rotate the log of a gateway pod as the kubelet does: give the file another name, have the runtime open a new
    one."""
    place = Place.numbered(int(os.environ.get("E2E_OWN", "0")))
    meta = pod["metadata"]
    folder = Path(place.logs / "pods" / f"{meta['namespace']}_{meta['name']}_{meta['uid']}" / "istio-proxy")
    current = max(folder.glob("[0-9]*.log"), key=lambda file: int(file.stem))
    current.rename(current.with_name(f"{current.name}.{time.strftime('%Y%m%d-%H%M%S')}"))
    (found,) = (one for one in pod["status"]["containerStatuses"] if one["name"] == "istio-proxy")
    container = found["containerID"].removeprefix("containerd://").encode()
    with grpc.insecure_channel(f"unix://{place.containerd_socket}") as channel:
        reopen = channel.unary_unary("/runtime.v1.RuntimeService/ReopenContainerLog")
        reopen(b"\x0a" + bytes([len(container)]) + container)
    assert current.exists(), "the runtime writes to a new file"
