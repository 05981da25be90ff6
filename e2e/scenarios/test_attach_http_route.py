"""A team keeps its HTTPRoute, as KServe makes it, beside another one of the same host: only it is limited."""

import json

from e2e.support.envoy import endpoints
from e2e.support.gateway_api import GROUP, install_gateway_api
from e2e.support.load import Load
from e2e.support.site import MODEL_IMAGE, QUICK, Site, host_of, is_ready, kubectl, path_of
from k8s_manager.importers.propose import propose
from tests.support.waiting import until

GATEWAY = "e2e-routes"


def edge() -> list[dict]:
    """Return a Gateway on the pods of gateway shared, and the Service by which it finds them."""
    metadata = {"name": GATEWAY, "namespace": "shared-gw"}
    port = {"name": "http", "port": 80, "targetPort": 8080}
    listener = {"name": "http", "port": 80, "protocol": "HTTP", "allowedRoutes": {"namespaces": {"from": "All"}}}
    spec = {
        "gatewayClassName": "istio",
        "addresses": [{"type": "Hostname", "value": f"{GATEWAY}.shared-gw.svc.cluster.local"}],
        "listeners": [listener],
    }
    selector = {"selector": {"istio": "shared"}, "ports": [port]}
    return [
        {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": selector},
        {"apiVersion": f"{GROUP}/v1", "kind": "Gateway", "metadata": metadata, "spec": spec},
    ]


def replicas(tenant: str, role: str, count: int) -> list[dict]:
    """Return a Deployment of the team's and its Service."""
    labels = {"app": "theirs", "role": role}
    metadata = {"name": f"theirs-{role}", "namespace": tenant}
    probe = {"httpGet": {"path": "/v2/health/ready", "port": 8080}, "periodSeconds": 1}
    context = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    container = {"name": "model", "image": MODEL_IMAGE, "readinessProbe": probe, "securityContext": context}
    template = {
        "metadata": {"labels": labels},
        "spec": {"containers": [container], "terminationGracePeriodSeconds": 2},
    }
    spec = {"replicas": count, "selector": {"matchLabels": labels}, "template": template}
    ports = [{"name": "http", "port": 8080, "targetPort": 8080}]
    return [
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec},
        {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {"selector": labels, "ports": ports}},
    ]


def http_route(tenant: str, name: str, path: str, **weights: int) -> dict:
    """Return an HTTPRoute that splits a path of the tenant's host."""
    backends = [{"name": f"theirs-{role}", "port": 8080, "weight": weight} for role, weight in weights.items()]
    match = {"path": {"type": "PathPrefix", "value": path}}
    spec = {
        "parentRefs": [{"name": GATEWAY, "namespace": "shared-gw"}],
        "hostnames": [host_of(tenant)],
        "rules": [{"matches": [match], "backendRefs": backends}],
    }
    metadata = {"name": name, "namespace": tenant}
    return {"apiVersion": f"{GROUP}/v1", "kind": "HTTPRoute", "metadata": metadata, "spec": spec}


def apply(*objects: dict) -> None:
    """Write objects as the team does."""
    kubectl("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)}))


def spec_of(name: str) -> dict:
    """Return the Model that limits an HTTPRoute, as it is proposed for what the cluster has."""
    kinds = f"gateways.{GROUP},httproutes.{GROUP},services"
    proposal = propose(json.loads(kubectl("get", kinds, "-A", "-o", "json"))["items"], take_over=False)
    (model,) = [found for found in proposal.told() if found["metadata"]["name"] == name]
    return {**model["spec"], "rateLimit": {"perReplicaQps": 10, "debounce": QUICK}}


async def test_of_two_http_routes_of_a_host_only_the_one_that_a_model_names_is_limited(
    site: Site, gateways: list[str], tenant: str
):
    install_gateway_api()
    await site.make_tenant(tenant, hosts=[])
    await until(lambda: site.get("Namespace", tenant), "the namespace")
    limited, free = path_of("limited"), path_of("free")
    routes = [http_route(tenant, name, path_of(name), stable=1, canary=0) for name in ("free", "limited")]
    apply(*edge(), *replicas(tenant, "stable", 2), *replicas(tenant, "canary", 1), *routes)
    try:
        await until(lambda: all_ready(site, tenant), "their replicas")
        theirs, others = Load(host_of(tenant), limited, rate=40), Load(host_of(tenant), free, rate=40)
        async with theirs.on(*gateways), others.on(*gateways):
            await site.rest.ok("PUT", f"/v1/tenants/{tenant}/models/ranker", {"spec": spec_of("limited")})
            await site.until_total(20, tenant)
            await theirs.measure(2)
            assert (explained := await theirs.limited_to(20, 5, within=0.075)), explained
            since, to = await others.measure(3)
            assert others.outcome.rate(since, to) > 60
            # istiod tells each gateway pod of endpoints in its own time, and a route's new weights at once.
            await until(lambda: all_know(site, f"theirs-canary.{tenant}"), "the gateway pods knowing the other replica")
            apply(http_route(tenant, "limited", limited, stable=0, canary=1))
            await site.until_total(10, tenant)
            assert (explained := await theirs.limited_to(10, 5, within=0.1)), explained
            await site.rest.ok("DELETE", f"/v1/tenants/{tenant}/models/ranker")
            await until(lambda: is_free(theirs), "the limit being gone")
        assert not theirs.outcome.strange, theirs.outcome.counts
        assert not others.outcome.strange, others.outcome.counts
    finally:
        kubectl("-n", tenant, "delete", "httproute", "free", "limited", "--ignore-not-found")
        kubectl("-n", "shared-gw", "delete", f"gateways.{GROUP}", GATEWAY, "--ignore-not-found")
        kubectl("-n", "shared-gw", "delete", "service", GATEWAY, "--ignore-not-found")
        for role in ("stable", "canary"):
            kubectl("-n", tenant, "delete", "deployment,service", f"theirs-{role}", "--ignore-not-found")


async def all_know(site: Site, service: str) -> bool:
    pods = await site.gateway_pods("shared-gw", "istio=shared")
    return all(endpoints("shared-gw", pod["metadata"]["name"], service, 8080) for pod in pods)


async def all_ready(site: Site, tenant: str) -> bool:
    return sum(map(is_ready, await site.all("Pod", tenant, "app=theirs"))) == 3


async def is_free(load: Load) -> bool:
    return load.outcome.rate(*await load.measure(1)) > 60
