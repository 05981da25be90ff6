"""Two models of one shape under one load: an HPA on CPU stays at two replicas while callers are refused, Tidegate's
`autoscale` brings replicas until none is. CPU is that of a real metrics-server."""

import json
from collections.abc import Iterator

import pytest

from e2e.support.collectors import with_collectors
from e2e.support.load import ROUTED, Load
from e2e.support.metrics_server import with_metrics_server
from e2e.support.replicas import history
from e2e.support.site import Site, host_of, kubectl, path_of, version
from istio_templates.facts import Manifest
from tests.support.waiting import until

pytestmark = pytest.mark.own_cluster
OURS, PEER = "demand", "cpu"
"""The models, named by the signal that each follows."""
EACH, LEAST, MOST = 20, 2, 8
OFFERED = 3.0 * LEAST * EACH
CPU, TARGET = 30, 70
"""Millicores that a replica requests, and the percentage of them that the HPA aims at. A replica at its full limit uses
about 10: three times that is room for a slow machine, and for requests that need more."""
SYNCS = 60.0
"""Seconds in which an HPA looks four times."""
A_STALL = 0.05
"""The share of requests that may be refused although replicas suffice: a machine that stands still sends late ones at
once."""


@pytest.fixture(scope="module", autouse=True)
def parts(installed: None) -> Iterator[None]:
    """Have collectors, which count demand, and metrics-server, which measures CPU."""
    with with_collectors(), with_metrics_server():
        yield


def shaped(**changes: object) -> Manifest:
    """Return the version of both models, without a number of replicas."""
    found = version(0)
    del found["workload"]["replicas"]
    found["workload"]["resources"] = {"requests": {"cpu": f"{CPU}m", "memory": "16Mi"}}
    return {**found, **changes}


def autoscale() -> Manifest:
    """Return what decides on the replicas of our model: demand, and CPU as the HPA has it."""
    signals = [{"name": "demand", "target": "80%"}, {"name": "cpu", "target": f"{TARGET}%"}]
    return {"min": LEAST, "max": MOST, "signals": signals, "writer": "tidegate"}


def scaled_by_cpu(tenant: str) -> Manifest:
    """Return the HPA of the other model."""
    target = {"type": "Utilization", "averageUtilization": TARGET}
    spec = {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": f"{PEER}-v1"},
        "minReplicas": LEAST,
        "maxReplicas": MOST,
        "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": target}}],
    }
    metadata = {"name": PEER, "namespace": tenant}
    return {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": metadata, "spec": spec}


async def utilization(site: Site, tenant: str) -> int | None:
    """Return the percentage of the requested CPU that the HPA reads; none while it has no metric."""
    status = (await site.get("HorizontalPodAutoscaler", PEER, tenant) or {}).get("status", {})
    active = {one["type"]: one["status"] for one in status.get("conditions", [])}.get("ScalingActive")
    if active != "True" or not status.get("currentMetrics"):
        return None
    return int(status["currentMetrics"][0]["resource"]["current"]["averageUtilization"])


async def read_over_syncs(site: Site, tenant: str, load: Load) -> list[int]:
    """Let a load run on for four looks of the HPA; return what it read meanwhile, -1 where it had no metric."""
    read = []
    for _ in range(4):
        await load.measure(SYNCS / 4)
        found = await utilization(site, tenant)
        read.append(-1 if found is None else found)
    return read


async def signals(site: Site, tenant: str) -> dict[str, Manifest]:
    """Return what each signal of our model contributes, as `explain` shows it."""
    found = await site.rest.ok("GET", f"/v1/tenants/{tenant}/models/{OURS}/explain?about=replicas")
    return {one["name"]: one for one in found["versions"][0]["signals"]}


async def reads_usage(site: Site, tenant: str, model: str, pods: int) -> list[Manifest]:
    """Return the use of a model's pods as soon as it has so many, and CPU and memory of each are known."""
    found = await site.rest.ok("GET", f"/v1/tenants/{tenant}/models/{model}/usage")
    known = [one for one in found["items"] if one["cpu"]["used"] is not None and one["memory"]["used"]]
    return known if len(known) == pods == len(found["items"]) else []


async def make_models(site: Site, tenant: str) -> None:
    """Make both models with their two replicas, and wait until both autoscalers read CPU."""
    await site.make_tenant(tenant)
    await site.make_model(tenant, OURS, versions=[shaped(autoscale=autoscale())])
    await site.make_model(tenant, PEER, versions=[shaped()])
    kubectl("apply", "-f", "-", stdin=json.dumps(scaled_by_cpu(tenant)))
    for model in (OURS, PEER):
        await site.until_total(LEAST * EACH, tenant, model)
        assert await until(lambda model=model: reads_usage(site, tenant, model, LEAST), f"the use of {model}")

    async def hpa_reads() -> bool:
        return await utilization(site, tenant) is not None

    async def we_read() -> bool:
        return "value" in (await signals(site, tenant)).get("cpu", {})

    await until(hpa_reads, "the HPA having its metric")
    await until(we_read, "autoscale having its signal of CPU")


async def test_cpu_hides_the_refusals_that_demand_shows(site: Site, gateways: list[str], tenant: str) -> None:
    await make_models(site, tenant)
    idle = await utilization(site, tenant)
    ours, peer = (Load(host_of(tenant), path_of(model), OFFERED / len(gateways)) for model in (OURS, PEER))
    async with history(site, tenant, OURS) as seen_ours, history(site, tenant, PEER) as seen_peer:
        async with ours.on(*gateways, once=ROUTED), peer.on(*gateways, once=ROUTED):
            took = await ours.until_admitted(SYNCS / 4)
            before = [load.outcome.counts["429"] for load in (ours, peer)]
            read = await read_over_syncs(site, tenant, peer)
            refused = [load.outcome.counts["429"] - count for load, count in zip((ours, peer), before, strict=True)]
            terms = await signals(site, tenant)
            used = await until(lambda: reads_usage(site, tenant, OURS, seen_ours[-1]), "the use of every replica")
        hidden, agrees = [await site.condition("Model", one, "AutoscalerAgrees", tenant) for one in (PEER, OURS)]
    print(
        f"{OFFERED:.0f}/s to each model, of which two replicas bear {LEAST * EACH}/s\n"
        f"HPA on CPU at {TARGET} %: it read {idle} % idle, {read} % under load; replicas {seen_peer}; "
        f"{dict(peer.outcome.counts)}, {refused[1]} refused in the last {SYNCS:g} s\n"
        f"autoscale on demand: replicas {seen_ours}; refusals ended after {took:.0f} s; "
        f"{dict(ours.outcome.counts)}, {refused[0]} refused in the last {SYNCS:g} s\n"
        f"its signals {terms}; its replicas used {[round(1000 * one['cpu']['used']) for one in used]} millicores"
    )
    assert seen_peer == [LEAST] and all(0 < one < TARGET for one in read), (seen_peer, read)
    assert refused[1] > 0.5 * (OFFERED - LEAST * EACH) * SYNCS, refused
    assert seen_ours == sorted(seen_ours) and seen_ours[-1] > OFFERED / EACH, seen_ours
    assert refused[0] < A_STALL * OFFERED * SYNCS, refused
    assert not ours.outcome.strange and not peer.outcome.strange
    assert 0 < terms["cpu"]["ratio"] < terms["demand"]["ratio"], terms
    assert (hidden["reason"], agrees["reason"]) == ("RefusalsHidden", "Agrees"), (hidden, agrees)
