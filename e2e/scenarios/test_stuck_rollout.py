"""A rollout that stands still: conditions, explain and events name the pod's reason; the old pods serve as declared."""

import copy
from typing import Any

import pytest

from e2e.support.load import Load
from e2e.support.site import QUICK, Site, host_of, path_of, version
from istio_templates.facts import Manifest
from tests.support.waiting import until


async def explains(site: Site, tenant: str, reasons: tuple[str, ...]) -> bool:
    explained = await site.rest.ok("GET", f"/v1/tenants/{tenant}/models/ranker/explain")
    return any(reason in line for reason in reasons for line in explained["explanation"])


async def has_event(site: Site, tenant: str, reasons: tuple[str, ...]) -> bool:
    events = await site.all("Event", tenant)
    return any(event["involvedObject"]["kind"] == "Model" and event["reason"] in reasons for event in events)


def broken(how: str) -> Manifest:
    """Return the version with a workload that never becomes ready."""
    found = copy.deepcopy(version(2))
    if how == "image":
        found["workload"]["image"] = "docker.io/local/absent:1"
    elif how == "command":
        found["workload"]["command"] = ["/no/such/command"]
    else:
        found["workload"]["command"] = ["python3", "-c", "import sys; sys.exit('no weights found')"]
    return found


async def put(site: Site, tenant: str, found: Manifest, qps: float) -> None:
    spec = {"versions": [found], "rateLimit": {"perReplicaQps": qps, "debounce": QUICK}}
    await site.rest.ok("PATCH", f"/v1/tenants/{tenant}/models/ranker", {"spec": spec})


async def degraded(site: Site, tenant: str, reasons: tuple[str, ...]) -> Any:
    found = await site.condition("Model", "ranker", "Degraded", tenant)
    return found if found.get("status") == "True" and found["reason"] in reasons else None


async def is_well(site: Site, tenant: str) -> bool:
    worse = await site.condition("Model", "ranker", "Degraded", tenant)
    progress = await site.condition("Model", "ranker", "Progressing", tenant)
    return (worse.get("status"), progress.get("reason")) == ("False", "NewReplicaSetAvailable")


@pytest.mark.parametrize(
    ("how", "reasons", "said"),
    [
        ("image", ("ImagePullBackOff",), "local/absent:1"),
        ("command", ("CrashLoopBackOff", "RunContainerError", "CreateContainerError"), "/no/such/command"),
        ("crash", ("CrashLoopBackOff",), "exit code 1"),
    ],
)
async def test_a_stuck_rollout_is_told_and_the_old_pods_keep_their_figure(
    site: Site, gateways: list[str], tenant: str, how: str, reasons: tuple[str, ...], said: str
):
    await site.make_tenant(tenant)
    await site.make_model(tenant, replicas=2)
    await site.until_total(40, tenant)
    await until(lambda: is_well(site, tenant), "the first rollout being complete")
    load = Load(host_of(tenant), path_of("ranker"), rate=10)
    async with load.on(*gateways):
        await put(site, tenant, broken(how), qps=50)
        condition = await until(lambda: degraded(site, tenant, reasons), "the model being degraded")
        assert said in condition["message"], condition
        assert await site.total(tenant) == 40
        # A container that crashes again and again changes from one reason to another, and back.
        await until(lambda: explains(site, tenant, reasons), f"explain naming one of {reasons}")
        await until(lambda: has_event(site, tenant, reasons), f"an event of the model with one of {reasons}")
        admitted = load.outcome.is_limited_to(40, *await load.measure(3))
        assert admitted.admitted >= admitted.least, admitted
        await put(site, tenant, version(2, MENDED="yes"), qps=50)
        await site.until_total(100, tenant)
        await until(lambda: is_well(site, tenant), "the mended rollout being complete")
    # A machine that stands still for a moment sends several requests at once, more than a bucket holds.
    assert not load.outcome.strange, load.outcome.counts
