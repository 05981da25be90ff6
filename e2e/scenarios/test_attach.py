"""A team keeps its own Deployment and route, and starts with the limit alone."""

import copy
import json

import pytest

from e2e.support.load import Load
from e2e.support.site import MODEL_IMAGE, QUICK, Site, bounded, host_of, is_ready, kubectl, path_of
from tests.support.waiting import until

LABELS = {"app": "theirs"}


def theirs(tenant: str) -> list[dict]:
    """Return what the team wrote by itself: a Deployment, a Service, a VirtualService."""
    probe = {"httpGet": {"path": "/v2/health/ready", "port": 8080}, "periodSeconds": 1}
    context = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    container = {"name": "model", "image": MODEL_IMAGE, "readinessProbe": probe, "securityContext": context}
    pod = {"containers": [container], "terminationGracePeriodSeconds": 2}
    spec = {
        "replicas": 2,
        "selector": {"matchLabels": LABELS},
        "template": {"metadata": {"labels": LABELS}, "spec": pod},
    }
    port = {"name": "http", "port": 8080, "targetPort": 8080}
    route = {"destination": {"host": f"theirs.{tenant}.svc.cluster.local", "port": {"number": 8080}}}
    routing = {
        "hosts": [host_of(tenant)],
        "gateways": [f"shared-gw/tenant-{tenant}"],
        "http": [{"match": [{"uri": {"prefix": path_of("ranker")}}], "route": [route]}],
    }
    metadata = {"name": "theirs", "namespace": tenant}
    return [
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec},
        {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {"selector": LABELS, "ports": [port]}},
        {"apiVersion": "networking.istio.io/v1", "kind": "VirtualService", "metadata": metadata, "spec": routing},
    ]


def two_versions(tenant: str, gateway: str) -> list[dict]:
    """Return what a team wrote that rolls out by weights: a Deployment and a Service for each version, and the route."""
    objects: list[dict] = []
    for name, replicas in (("v1", 2), ("v2", 1)):
        deployment, service, route = copy.deepcopy(theirs(tenant))
        labels = LABELS | {"version": name}
        deployment["metadata"] = service["metadata"] = {"name": f"theirs-{name}", "namespace": tenant}
        deployment["spec"] |= {"replicas": replicas, "selector": {"matchLabels": labels}}
        deployment["spec"]["template"]["metadata"]["labels"] = service["spec"]["selector"] = labels
        objects += [deployment, service]
    route["spec"] |= {"gateways": [gateway], "http": [split(tenant, 100)]}
    return [*objects, route]


def split(tenant: str, stable: int) -> dict:
    """Return a route that sends so many per cent to v1 and the rest to v2."""
    weights = (("v1", stable), ("v2", 100 - stable))
    hosts = [(f"theirs-{name}.{tenant}.svc.cluster.local", weight) for name, weight in weights]
    route = [{"destination": {"host": host, "port": {"number": 8080}}, "weight": weight} for host, weight in hosts]
    return {"match": [{"uri": {"prefix": path_of("ranker")}}], "route": route}


def versions(tenant: str) -> list[str]:
    """Return the resourceVersions of what is theirs."""
    found = json.loads(kubectl("-n", tenant, "get", "deployment,virtualservice", "theirs", "-o", "json"))
    return [obj["metadata"]["resourceVersion"] for obj in found["items"]]


async def test_a_route_of_others_is_limited_and_never_written(site: Site, gateways: list[str], tenant: str):
    await site.make_tenant(tenant)
    await until(lambda: site.get("Namespace", tenant), "the namespace")
    kubectl("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": theirs(tenant)}))
    try:
        await until(lambda: both_ready(site, tenant), "their replicas")
        kubectl("-n", tenant, "rollout", "status", "deployment/theirs", bounded())
        before = versions(tenant)
        spec = {
            "attachTo": {"virtualService": "theirs"},
            "versions": [{"name": "v1", "existing": {"labels": LABELS}}],
            "traffic": [{"version": "v1", "weight": 100}],
            "rateLimit": {"perReplicaQps": 10, "debounce": QUICK},
        }
        load = Load(host_of(tenant), path_of("ranker"), rate=40)
        async with load.on(*gateways):
            since, to = await load.measure(3)
            free = load.outcome.rate(since, to)
            await site.rest.ok("PUT", f"/v1/tenants/{tenant}/models/ranker", {"spec": spec})
            await site.until_total(20, tenant)
            await load.measure(2)
            limited = await load.limited_to(20, 5, within=0.075)
        assert not load.outcome.strange, load.outcome.counts
        assert free > 60 and limited, (free, limited)
        assert versions(tenant) == before
    finally:
        kubectl("-n", tenant, "delete", "deployment,service,virtualservice", "theirs", "--ignore-not-found")


async def both_ready(site: Site, tenant: str) -> bool:
    return sum(map(is_ready, await site.all("Pod", tenant, "app=theirs"))) == 2


@pytest.mark.parametrize("named", ["in full", "as beside", "of another namespace"])
async def test_the_limit_follows_the_weights_that_their_owner_moves(
    site: Site, gateways: list[str], tenant: str, named: str
):
    await site.make_tenant(tenant)
    await until(lambda: site.get("Namespace", tenant), "the namespace")
    servers = [{"port": {"number": 8080, "name": "http", "protocol": "HTTP"}, "hosts": [host_of(tenant)]}]
    beside = {
        "apiVersion": "networking.istio.io/v1",
        "kind": "Gateway",
        "metadata": {"name": "beside", "namespace": tenant},
        "spec": {"selector": {"istio": "shared"}, "servers": servers},
    }
    gateway = {
        "in full": f"shared-gw/tenant-{tenant}",
        "as beside": "beside",
        "of another namespace": f"{tenant}/beside",
    }
    items = [*([] if named == "in full" else [beside]), *two_versions(tenant, gateway[named])]
    kubectl("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
    try:
        for name in ("v1", "v2"):
            kubectl("-n", tenant, "rollout", "status", f"deployment/theirs-{name}", bounded())
        existing = [{"name": name, "existing": {"labels": LABELS | {"version": name}}} for name in ("v1", "v2")]
        spec = {
            "attachTo": {"virtualService": "theirs"},
            "versions": existing,
            "traffic": [{"version": "v1", "weight": 100}],
            "rateLimit": {"perReplicaQps": 10, "debounce": QUICK},
        }

        async def accepted() -> bool:
            status, _ = await site.rest.call("PUT", f"/v1/tenants/{tenant}/models/ranker", {"spec": spec})
            return status in (200, 201)

        await until(accepted, "the Gateway and the route being seen, and the document accepted")
        for stable, total in ((100, 20), (50, 20), (20, 12.5), (0, 10), (100, 20)):
            patch = json.dumps({"spec": {"http": [split(tenant, stable)]}})
            kubectl("-n", tenant, "patch", "virtualservice", "theirs", "--type=merge", "-p", patch)
            await site.until_total(total, tenant)
            unread = await site.condition("Model", "ranker", "TrafficFollowed", tenant)
            assert not unread, unread  # it is told only where the weights cannot be read
        await site.until_enforced(20, tenant)
        kubectl("-n", tenant, "delete", "virtualservice", "theirs")

        async def told() -> bool:
            return (await site.condition("Model", "ranker", "Accepted", tenant)).get("status") == "False"

        await until(told, "the missing route being told")
    finally:
        kubectl("-n", tenant, "delete", "deployment,service,virtualservice,gateways.networking.istio.io", "--all")
