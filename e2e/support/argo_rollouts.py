"""Argo Rollouts, installed from the manifests of its own release, and a team that rolls its model out with it."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from e2e.cluster import build, needs
from e2e.cluster.neighbours import ROLLOUTS_CONTROLLER
from e2e.support.site import MODEL_IMAGE, Site, bounded, host_of, kubectl, path_of
from istio_templates.facts import Manifest

NAMESPACE = "argo-rollouts"
APP, REPLICAS = {"app": "theirs"}, 4
ROLES = ("stable", "canary")
_PUBLISHED = "quay.io/argoproj/argo-rollouts:latest"
_CHANGES = {
    f"image: {_PUBLISHED}": f"image: {ROLLOUTS_CONTROLLER}",
    "imagePullPolicy: Always": "imagePullPolicy: Never",
}


@contextmanager
def with_argo_rollouts() -> Iterator[None]:
    """Have Argo Rollouts in the cluster; take it away afterwards, with its kinds."""
    folder = build.module_folder(needs.require(), "argo-rollouts", "github.com/argoproj/argo-rollouts")
    manifests = kubectl("kustomize", str(folder / "manifests/cluster-install"))
    for published, ours in _CHANGES.items():
        assert published in manifests, published
        manifests = manifests.replace(published, ours)
    kubectl("create", "namespace", NAMESPACE)
    kubectl("-n", NAMESPACE, "apply", "--server-side", "-f", "-", stdin=manifests)
    try:
        kubectl("-n", NAMESPACE, "rollout", "status", f"deployment/{NAMESPACE}", bounded())
        yield
    finally:
        kubectl("-n", NAMESPACE, "delete", "--ignore-not-found", "-f", "-", bounded(), stdin=manifests)
        kubectl("delete", "namespace", NAMESPACE, bounded())


def apply(*objects: Manifest) -> None:
    """Write what the team writes."""
    kubectl("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": [*objects]}))


def theirs(tenant: str, *steps: Manifest, role_labels: bool = True, **canary: Any) -> list[Manifest]:
    """Return what a team writes that rolls out by Argo Rollouts: a Rollout, a Service for each role, and the route."""
    canary = {
        "stableService": "theirs-stable",
        "canaryService": "theirs-canary",
        "trafficRouting": {"istio": {"virtualService": {"name": "theirs"}}},
        "scaleDownDelaySeconds": 10,
        **canary,
    }
    ports = [{"name": "http", "port": 8080, "targetPort": 8080}]
    services = [_object("v1", "Service", f"theirs-{role}", tenant, {"selector": APP, "ports": ports}) for role in ROLES]
    weights = zip(ROLES, (100, 0), strict=True)
    split = [
        {"destination": {"host": f"theirs-{role}", "port": {"number": 8080}}, "weight": weight}
        for role, weight in weights
    ]
    routing = {
        "hosts": [host_of(tenant)],
        "gateways": [f"shared-gw/tenant-{tenant}"],
        "http": [{"match": [{"uri": {"prefix": path_of("ranker")}}], "route": split}],
    }
    route = _object("networking.istio.io/v1", "VirtualService", "theirs", tenant, routing)
    return [rollout(tenant, *steps, role_labels=role_labels, **canary), *services, route]


def with_subsets(tenant: str, *steps: Manifest, **canary: Any) -> list[Manifest]:
    """Return the same with one Service, whose DestinationRule has a subset for each role."""
    names = {"name": "theirs", **{f"{role}SubsetName": role for role in ROLES}}
    canary["trafficRouting"] = {"istio": {"virtualService": {"name": "theirs"}, "destinationRule": names}}
    _, service, _, route = theirs(tenant, *steps)
    service["metadata"]["name"] = "theirs"
    for role, part in zip(ROLES, route["spec"]["http"][0]["route"], strict=True):
        part["destination"] |= {"host": "theirs", "subset": role}
    subsets = {"host": "theirs", "subsets": [{"name": role, "labels": APP} for role in ROLES]}
    rule = _object("networking.istio.io/v1", "DestinationRule", "theirs", tenant, subsets)
    return [rollout(tenant, *steps, **canary), service, rule, route]


def rollout(tenant: str, *steps: Manifest, role_labels: bool = True, **canary: Any) -> Manifest:
    """Return a Rollout; without `role_labels` nothing lasts by which its pods differ."""
    roles = {f"{role}Metadata": {"labels": {"role": role}} for role in ROLES} if role_labels else {}
    spec = {
        "replicas": REPLICAS,
        "selector": {"matchLabels": APP},
        "strategy": {"canary": {**roles, "steps": [*steps], **canary}},
        "template": {"metadata": {"labels": APP}, "spec": pods("v1")},
    }
    return _object("argoproj.io/v1alpha1", "Rollout", "theirs", tenant, spec)


def analysis(tenant: str, prometheus: str, interval: str) -> Manifest:
    """Return an AnalysisTemplate `errors`: at most 5 % of the answers of the canary are 5xx; one look that finds more
    aborts, and one that finds no request decides nothing."""
    canary = f'cluster_name=~"outbound.8080.canary.theirs.{tenant}.svc.cluster.local.*"'
    failed = f'sum(rate(envoy_cluster_upstream_rq{{response_code_class="5xx",{canary}}}[10s]))'
    query = f"{failed} / sum(rate(envoy_cluster_upstream_rq_completed{{{canary}}}[10s]))"
    metric = {
        "name": "errors",
        "interval": interval,
        "successCondition": "len(result) == 0 || isNaN(result[0]) || result[0] <= 0.05",
        "provider": {"prometheus": {"address": prometheus, "query": query}},
    }
    return _object("argoproj.io/v1alpha1", "AnalysisTemplate", "errors", tenant, {"metrics": [metric]})


def pods(version: str, **env: str) -> Manifest:
    """Return the pods of a version: they serve on while they go, until gateway pods know it."""
    probe = {"httpGet": {"path": "/v2/health/ready", "port": 8080}, "periodSeconds": 1}
    container = {
        "name": "model",
        "image": MODEL_IMAGE,
        "env": [{"name": name, "value": value} for name, value in {"MODEL_VERSION": version, **env}.items()],
        "readinessProbe": probe,
        "resources": {"requests": {"cpu": "5m", "memory": "16Mi"}},
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        "lifecycle": {"preStop": {"sleep": {"seconds": 5}}},
    }
    return {"containers": [container], "terminationGracePeriodSeconds": 8}


def _object(api: str, kind: str, name: str, namespace: str, spec: Manifest) -> Manifest:
    return {"apiVersion": api, "kind": kind, "metadata": {"name": name, "namespace": namespace}, "spec": spec}


def change(tenant: str, spec: Manifest, *options: str) -> None:
    """Merge something into the Rollout."""
    patch = json.dumps(spec)
    kubectl("-n", tenant, "patch", "rollout.argoproj.io", "theirs", "--type=merge", "-p", patch, *options)


def promote(tenant: str) -> None:
    """End a pause, as the command line of Argo Rollouts does."""
    change(tenant, {"status": {"pauseConditions": None}}, "--subresource=status")


def status(tenant: str) -> Manifest:
    """Return what Argo Rollouts says of the Rollout."""
    found = json.loads(kubectl("-n", tenant, "get", "rollout.argoproj.io", "theirs", "-o", "json"))
    return found.get("status") or {}


def measured(tenant: str) -> str:
    """Return what the analyses of a Rollout have measured."""
    return kubectl("-n", tenant, "get", "analysisruns.argoproj.io", "-o", "jsonpath={.items[*].status.metricResults}")


def is_healthy(tenant: str) -> bool:
    """Tell whether the Rollout has come to its end."""
    found = status(tenant)
    return found.get("phase") == "Healthy" and found.get("stableRS") == found.get("currentPodHash")


async def split(site: Site, tenant: str, route: str = "theirs") -> tuple[int, ...]:
    """Return the weights of a VirtualService, in their order."""
    found = await site.get("VirtualService", route, tenant) or {"spec": {"http": []}}
    return tuple(part.get("weight", 100) for rule in found["spec"]["http"] for part in rule["route"])


def writers(obj: Manifest) -> set[str]:
    """Return who has written an object."""
    return {entry["manager"] for entry in obj["metadata"].get("managedFields", [])}
