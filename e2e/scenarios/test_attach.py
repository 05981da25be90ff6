"""A team keeps its own Deployment and route, and starts with the limit alone."""

import json

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
