"""What happens too rarely to be in another scenario: every kind is made, changed, set back and deleted in every way.

`test_rights.py` then finds each of the manager's rights used.
"""

import json
from datetime import UTC, datetime, timedelta

import pytest

from e2e.support.site import Site, kubectl
from e2e.support.warming import PLAN, put, spec
from k8s_manager.drift.digest import DIGEST
from tests.support.waiting import until

pytestmark = pytest.mark.own_cluster


async def test_rare_things_are_done(site: Site, gateways: list[str], tenant: str):
    """Every kind is made, changed by somebody and set back, and deleted; replicas that never get warm start again."""
    await site.make_gateway("rare", 1, managed={"autoscale": {"min": 1, "max": 2}})
    await site.make_tenant(tenant, "rare", isolation="strict")
    await until(lambda: site.get("Namespace", tenant), "the namespace")
    never = {**PLAN, "success": {"window": 10, "latency": {"max": "1ms"}}, "timeout": "3s", "onTimeout": "restart"}
    await put(site, tenant, {**spec(tenant, 2), "warmup": {"plan": never, "restartDelay": "1s"}})
    await until(lambda: has_started_again(site, tenant), "a replica that was started again")
    for kind, name, place in RARE:
        await until(lambda k=kind, n=name, p=place: is_set_back(site, k, n, p.format(tenant=tenant)), f"{kind} {name}")
    await write_rare_documents(site, tenant)
    for replicas in range(2, 80):
        path = f"/v1/tenants/{tenant}/models/ranker"
        await site.rest.ok("PATCH", path, {"spec": {"rateLimit": {"perReplicaQps": 1000 + replicas}}})
    await until(lambda: is_bounded(site, tenant), "old revisions going")
    await site.rest.ok("DELETE", f"/v1/tenants/{tenant}?cascade=true")
    await until(lambda: is_gone(site, "Tenant", tenant), "the tenant being gone")

    async def accepted() -> bool:
        status, answer = await site.rest.call("DELETE", "/v1/gateways/rare")
        assert status in (202, 409), answer  # 409: the manager has not seen the tenant go yet
        return status == 202

    await until(accepted, "the gateway being deleted")
    await until(lambda: is_gone(site, "InferenceGateway", "rare"), "the gateway being gone")


RARE = (
    ("ConfigMap", "tidegate-ranker-warmup", "{tenant}"),
    ("NetworkPolicy", "tidegate-isolation", "{tenant}"),
    ("PodDisruptionBudget", "ranker-v1", "{tenant}"),
    ("HorizontalPodAutoscaler", "rare", "rare-gw"),
    ("ServiceAccount", "rare", "rare-gw"),
    ("RoleBinding", "rare", "rare-gw"),
)


async def is_gone(site: Site, kind: str, name: str) -> bool:
    return await site.get(kind, name) is None


async def has_started_again(site: Site, tenant: str) -> bool:
    pods = await site.all("Pod", tenant, "tidegate.dev/model=ranker")
    return any("deletionTimestamp" in pod["metadata"] for pod in pods)


async def is_set_back(site: Site, kind: str, name: str, place: str) -> bool:
    """Take the manager's own annotation away, and tell whether it comes back."""
    live = await site.get(kind, name, place)
    if live is None or DIGEST not in live["metadata"].get("annotations", {}):
        return False
    kubectl("-n", place, "annotate", kind.lower(), name, f"{DIGEST}-")

    async def back() -> bool:
        found = await site.get(kind, name, place) or {"metadata": {}}
        return DIGEST in found["metadata"].get("annotations", {})

    await until(back, f"{kind} {name} being set back")
    return True


async def write_rare_documents(site: Site, tenant: str) -> None:
    """Have overrides, grants, versions and a plan written in every way there is."""
    ends = (datetime.now(UTC) + timedelta(hours=1)).isoformat(timespec="seconds")
    override = {"author": "night", "reason": "INC-7", "expires": ends, "target": {"tenant": tenant}, "total": 5}
    grant = {"role": "viewer", "users": ["night"]}
    for path, body, change in (
        ("/v1/overrides/rare", override, {"total": 6}),
        ("/v1/grants/rare", grant, {"users": ["day"]}),
    ):
        await site.rest.ok("PUT", path, {"spec": body})
        await site.rest.ok("PATCH", path, {"spec": change})
        await site.rest.ok("DELETE", path)
    registry = f"/v1/tenants/{tenant}/modelversions"
    await site.rest.ok("POST", registry, {"model": "ranker", "version": "rare", "image": "example.com/ranker:rare"})
    await until(lambda: site.holds("ModelVersion", "ranker-rare", "Accepted", tenant), "the version being accepted")
    await site.rest.ok("PUT", f"{registry}/ranker-rare/block", {"reason": "INC-7"})
    await site.rest.ok("DELETE", f"{registry}/ranker-rare")
    found = {
        "apiVersion": "tidegate.dev/v1alpha1",
        "kind": "WarmupPlan",
        "metadata": {"name": "rare", "namespace": tenant},
    }
    kubectl("apply", "-f", "-", stdin=json.dumps({**found, "spec": PLAN}))
    await until(lambda: site.holds("WarmupPlan", "rare", "Accepted", tenant), "the plan being accepted")


async def is_bounded(site: Site, tenant: str) -> bool:
    found = await site.all("ControllerRevision", tenant)
    return 20 <= sum(obj["metadata"]["name"].startswith("model.ranker.") for obj in found) <= 60
