"""The pods of a managed gateway: Istio injects the proxy into an almost empty Deployment."""

from collections.abc import Mapping

from istio_templates import names
from istio_templates.facts import GatewayPods, GatewayPool, Manifest

GATEWAY_ROLE = "tidegate-gateway"
_CONFIG, _BUCKETS = "proxy.istio.io/config", "sidecar.istio.io/statsHistogramBuckets"
_FLUSH = "sidecar.istio.io/statsFlushInterval"
_LIMITS = """proxyStatsMatcher:
  inclusionRegexps:
  - ".*http_local_rate_limit.*"
"""
_STATS = f"{_LIMITS}  - '{names.COUNTED}'\n"
_EDGES = f'{{"cluster.outbound": [{", ".join(map(str, names.LATENCY_EDGES))}]}}'
"""At which milliseconds Envoy divides the latency of versions: its own edges are few."""
_COUNTS = {_CONFIG: _STATS, _BUCKETS: _EDGES, _FLUSH: "1s"}
"""What lets pods count what versions answer. Envoy adds up latencies at each flush, by itself every five seconds: a
slow version would be seen that much later than one that fails."""


def gateway_workload(pool: GatewayPool) -> list[Manifest]:
    """Return everything that runs a managed gateway; nothing for one whose pods another owner runs."""
    if pool.managed is None:
        return []
    return [
        _service_account(pool),
        _role_binding(pool),
        _deployment(pool, pool.managed),
        _service(pool),
        _disruption_budget(pool),
        *_autoscaler(pool, pool.managed),
    ]


def counts_versions(annotations: Mapping[str, object]) -> bool:
    """Tell whether pods with these annotations count what versions answer, as managed gateways do."""
    return annotations.items() >= _COUNTS.items()


def without_counts(annotations: Mapping[str, str]) -> dict[str, str]:
    """Return the annotations of a managed gateway's pods as releases before the counts rendered them."""
    rest = {name: text for name, text in annotations.items() if name not in _COUNTS}
    return {**rest, _CONFIG: _LIMITS}


def _head(pool: GatewayPool, api_version: str, kind: str) -> Manifest:
    return names.manifest(api_version, kind, pool.name, pool.namespace, names.owned_by_gateway(pool))


def _service_account(pool: GatewayPool) -> Manifest:
    return _head(pool, "v1", "ServiceAccount")


def _role_binding(pool: GatewayPool) -> Manifest:
    """Bind the one shipped ClusterRole: the proxy reads its certificates with these rights."""
    return {
        **_head(pool, "rbac.authorization.k8s.io/v1", "RoleBinding"),
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": GATEWAY_ROLE},
        "subjects": [{"kind": "ServiceAccount", "name": pool.name, "namespace": pool.namespace}],
    }


def _deployment(pool: GatewayPool, pods: GatewayPods) -> Manifest:
    ports = [{"name": name, "containerPort": port, "protocol": "TCP"} for port, name in _ports(pool)]
    spec: Manifest = {
        # Not the gateway's own selector: that may change, and a Deployment's never can.
        "selector": {"matchLabels": {names.GATEWAY: pool.name}},
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
        "template": {
            "metadata": {
                "labels": {**dict(pool.selector), names.GATEWAY: pool.name, "sidecar.istio.io/inject": "true"},
                "annotations": {
                    "inject.istio.io/templates": "gateway",
                    **_COUNTS,
                },
            },
            "spec": {
                "serviceAccountName": pool.name,
                "terminationGracePeriodSeconds": 60,
                "containers": [
                    {"name": "istio-proxy", "image": "auto", "imagePullPolicy": "IfNotPresent", "ports": ports}
                ],
            },
        },
    }
    if pods.replicas is not None:
        spec["replicas"] = pods.replicas
    return {**_head(pool, "apps/v1", "Deployment"), "spec": spec}


def _service(pool: GatewayPool) -> Manifest:
    ports = [{"name": name, "port": port, "targetPort": port, "protocol": "TCP"} for port, name in _ports(pool)]
    spec = {"type": "LoadBalancer", "selector": dict(pool.selector), "ports": ports}
    return {**_head(pool, "v1", "Service"), "spec": spec}


def _ports(pool: GatewayPool) -> list[tuple[int, str]]:
    """Return each port once, with the name of its first listener."""
    found: dict[int, str] = {}
    for listener in pool.listeners:
        found.setdefault(listener.port, listener.name)
    return list(found.items())


def _disruption_budget(pool: GatewayPool) -> Manifest:
    spec = {"maxUnavailable": 1, "selector": {"matchLabels": dict(pool.selector)}}
    return {**_head(pool, "policy/v1", "PodDisruptionBudget"), "spec": spec}


def _autoscaler(pool: GatewayPool, pods: GatewayPods) -> list[Manifest]:
    if pods.most is None:
        return []
    target = {"type": "Utilization", "averageUtilization": 70}
    spec = {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": pool.name},
        "minReplicas": pods.least,
        "maxReplicas": pods.most,
        "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": target}}],
    }
    return [{**_head(pool, "autoscaling/v2", "HorizontalPodAutoscaler"), "spec": spec}]
