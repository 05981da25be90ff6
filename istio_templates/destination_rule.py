"""DestinationRule: a subset per version, and how gateway pods treat replicas.

Locality balancing is switched off: with outlier detection Istio would otherwise keep requests in one zone,
away from replicas that are scarce. Upstream TLS is off: model pods have no sidecar.
"""

from istio_templates import names
from istio_templates.facts import Manifest, PolicyFacts, ServedModel
from istio_templates.workloads.service import service_host


def destination_rule(model: ServedModel) -> Manifest:
    """Return the DestinationRule of a model."""
    obj = names.manifest(
        "networking.istio.io/v1", "DestinationRule", model.name, model.tenant.namespace, names.owned_by_model(model)
    )
    return {
        **obj,
        "spec": {
            "host": service_host(model),
            "exportTo": sorted({pool.namespace for pool in model.tenant.gateways}),
            "trafficPolicy": {
                "tls": {"mode": "DISABLE"},
                "loadBalancer": _balancer(model.policy),
                "connectionPool": _pool(model.policy),
                "outlierDetection": {
                    "consecutiveGatewayErrors": model.policy.consecutive_errors,
                    "consecutive5xxErrors": 0,
                    "interval": model.policy.interval,
                    "baseEjectionTime": model.policy.ejection_time,
                    "maxEjectionPercent": model.policy.max_ejection_percent,
                },
            },
            "subsets": [{"name": version.name, "labels": dict(version.labels)} for version in model.versions],
        },
    }


def _balancer(policy: PolicyFacts) -> Manifest:
    out: Manifest = {"localityLbSetting": {"enabled": False}}
    if policy.hash_header:
        return {**out, "consistentHash": {"httpHeaderName": policy.hash_header}}
    if policy.hash_cookie:
        return {**out, "consistentHash": {"httpCookie": {"name": policy.hash_cookie, "ttl": "0s"}}}
    if policy.slow_start:
        slow = policy.slow_start
        out["warmup"] = {"duration": slow.duration, "minimumPercent": slow.least, "aggression": slow.aggression}
    return {**out, "simple": {"leastRequest": "LEAST_REQUEST", "roundRobin": "ROUND_ROBIN"}[policy.balancing]}


def _pool(policy: PolicyFacts) -> Manifest:
    tcp: Manifest = {"connectTimeout": "2s", "tcpKeepalive": {"time": "60s", "interval": "10s"}}
    http: Manifest = {"idleTimeout": "300s"}
    if policy.max_connections:
        tcp["maxConnections"] = policy.max_connections
    if policy.max_requests:
        http["http2MaxRequests"] = policy.max_requests
    if policy.max_pending:
        http["http1MaxPendingRequests"] = policy.max_pending
    return {"tcp": tcp, "http": http}
