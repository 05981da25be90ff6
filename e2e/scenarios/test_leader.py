"""Two managers, one of which leads: when it dies, the other goes on where it stopped."""

from datetime import datetime

from e2e.support.load import Load
from e2e.support.site import SYSTEM, Site, host_of, is_ready, kubectl, path_of
from istio_templates.facts import Manifest, ObjectKey
from tests.support.waiting import until

LEASE = ObjectKey("Lease", SYSTEM, "tidegate")
SILENCE = 15.0
"""Seconds without a renewal after which the Lease expires."""


async def leader(site: Site) -> str:
    lease = await site.kube.get(LEASE)
    return str(lease["spec"].get("holderIdentity") or "")


async def test_a_leader_killed_while_a_limit_must_change_is_replaced_and_the_limit_changes(
    site: Site, gateways: list[str], tenant: str
):
    await site.make_tenant(tenant)
    await site.make_model(tenant, replicas=2)
    await site.until_total(40, tenant)
    before = await leader(site)
    pod = before.rpartition("-")[0]
    load = Load(host_of(tenant), path_of("ranker"), rate=50)
    async with load.on(*gateways):
        await load.measure(2)
        # The count changes and its manager dies before the raise is due.
        spec = (await site.rest.ok("GET", f"/v1/tenants/{tenant}/models/ranker"))["spec"]
        spec["versions"][0]["workload"]["replicas"] = 4
        await site.kube.merge(ObjectKey("Model", tenant, "ranker"), {"spec": {"versions": spec["versions"]}})
        kubectl("-n", SYSTEM, "delete", "pod", pod, "--grace-period=0", "--force")
        waited = await takeover(site, before)
        await site.until_enforced(80, tenant)
        await load.measure(2)
        admitted = await load.limited_to(80, 6, within=0.075)
    assert waited < SILENCE + 5
    assert not load.outcome.strange
    assert admitted, admitted


async def takeover(site: Site, before: str) -> float:
    """Wait for another leader; return the seconds, by the Lease, since the one before renewed it last."""
    renewed = datetime.fromisoformat((await site.kube.get(LEASE))["spec"]["renewTime"])

    async def taken() -> Manifest | None:
        nonlocal renewed
        lease = await site.kube.get(LEASE)
        if lease["spec"].get("holderIdentity") not in ("", before):
            return lease
        renewed = datetime.fromisoformat(lease["spec"]["renewTime"])
        return None

    lease = await until(taken, "another leader")
    return (datetime.fromisoformat(lease["spec"]["acquireTime"]) - renewed).total_seconds()


async def test_a_leader_that_is_told_to_stop_hands_over_at_once(site: Site, gateways: list[str]):
    await until(lambda: leader(site), "a leader")
    before = await leader(site)
    kubectl("-n", SYSTEM, "delete", "pod", before.rpartition("-")[0], "--wait=false")
    waited = await takeover(site, before)
    assert waited < SILENCE, "the Lease was given back: it did not expire"


async def test_every_replica_serves_the_api(site: Site, gateways: list[str], tenant: str):

    async def both() -> list[Manifest]:
        pods = await site.all("Pod", SYSTEM, "app.kubernetes.io/name=tidegate")
        ready = [pod for pod in pods if "deletionTimestamp" not in pod["metadata"] and is_ready(pod)]
        return ready if len(ready) == 2 else []

    for number, pod in enumerate(await until(both, "two ready managers")):
        async with site.at(f"http://{pod['status']['podIP']}:8700") as rest:
            name = f"{tenant}-{number}"
            body = {"gateway": {"name": "shared"}, "hosts": [{"name": host_of(name)}]}
            await rest.ok("PUT", f"/v1/tenants/{name}", {"spec": body})
            assert (await rest.ok("GET", f"/v1/tenants/{name}"))["metadata"]["name"] == name
