"""Clusters and their endpoints: one cluster for each port of a Service and each subset of its DestinationRule."""

from collections.abc import Iterator
from typing import Any

from k8s_manager.standalone.translator.config import Config, GatewayPod, exported, merge, namespace_of, patches_for
from k8s_manager.standalone.translator.routes import seconds

Object = dict[str, Any]
_HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


def clusters(config: Config, pod: GatewayPod) -> dict[str, Object]:
    """Return the clusters that a gateway pod sees, by name."""
    found = {name: _cluster(name, rule, port) for name, rule, port, _, _ in _seen(config, pod)}
    for patch in patches_for(config, pod, "CLUSTER"):
        if patch["patch"]["operation"] == "MERGE":
            for cluster in found.values():
                merge(cluster, patch["patch"]["value"])
    return found


def endpoints(config: Config, pod: GatewayPod) -> dict[str, Object]:
    """Return the endpoints of each of those clusters: ready ones that stay, by name of the cluster."""
    labels = {(namespace_of(p), p["metadata"]["name"]): p["metadata"].get("labels", {}) for p in config.pods}
    slices: dict[tuple[str, str], list[Object]] = {}
    for found in config.endpoint_slices:
        service = found["metadata"].get("labels", {}).get("kubernetes.io/service-name", "")
        slices.setdefault((namespace_of(found), service), []).append(found)
    return {
        name: _assignment(name, port, wanted, slices.get(service, []), labels)
        for name, _, port, wanted, service in _seen(config, pod)
    }


def _seen(config: Config, pod: GatewayPod) -> Iterator[tuple[str, Object, Object, Object, tuple[str, str]]]:
    """Yield (cluster, DestinationRule, port, labels of its subset, Service) of every cluster."""
    services = {f"{s['metadata']['name']}.{namespace_of(s)}.svc.cluster.local": s for s in config.services}
    for rule in config.destination_rules:
        host = rule["spec"]["host"]
        service = services.get(host)
        if service is None or not exported(rule, pod.namespace):
            continue
        key = (namespace_of(service), service["metadata"]["name"])
        for port in service["spec"]["ports"]:
            for subset in [{"name": "", "labels": {}}, *rule["spec"].get("subsets", [])]:
                name = f"outbound|{port['port']}|{subset['name']}|{host}"
                yield name, rule, port, subset.get("labels", {}), key


def _cluster(name: str, rule: Object, port: Object) -> Object:
    policy = rule["spec"]["trafficPolicy"]
    pool = policy.get("connectionPool", {})
    return {
        "name": name,
        "type": "EDS",
        "eds_cluster_config": {"eds_config": {"ads": {}, "resource_api_version": "V3"}, "service_name": name},
        "connect_timeout": seconds(pool.get("tcp", {}).get("connectTimeout", "10s")),
        "circuit_breakers": {"thresholds": [_thresholds(pool)]},
        "common_lb_config": {"healthy_panic_threshold": {"value": 0}},
        "typed_extension_protocol_options": {_HTTP_OPTIONS: _http_options(pool, port)},
        **_balancing(policy.get("loadBalancer", {})),
        **_outliers(policy.get("outlierDetection")),
    }


def _thresholds(pool: Object) -> Object:
    tcp, http, most = pool.get("tcp", {}), pool.get("http", {}), 2**32 - 1
    return {
        "max_connections": tcp.get("maxConnections", most),
        "max_pending_requests": http.get("http1MaxPendingRequests", most),
        "max_requests": http.get("http2MaxRequests", most),
        "max_retries": most,
        "track_remaining": True,
    }


def _http_options(pool: Object, port: Object) -> Object:
    http2 = port.get("name", "").startswith(("grpc", "http2"))
    protocol: Object = {"http2_protocol_options": {}} if http2 else {"http_protocol_options": {}}
    idle = pool.get("http", {}).get("idleTimeout", "3600s")
    return {
        "@type": f"type.googleapis.com/{_HTTP_OPTIONS}",
        "explicit_http_config": protocol,
        "common_http_protocol_options": {"idle_timeout": seconds(idle)},
    }


def _balancing(balancer: Object) -> Object:
    if "consistentHash" in balancer:
        return {"lb_policy": "RING_HASH", "ring_hash_lb_config": {"minimum_ring_size": 1024}}
    policy = balancer.get("simple", "LEAST_REQUEST")
    slow = balancer.get("warmup")
    if slow is None:
        return {"lb_policy": policy}
    config = {
        "slow_start_window": seconds(slow["duration"]),
        "aggression": {"default_value": slow["aggression"]},
        "min_weight_percent": {"value": slow["minimumPercent"]},
    }
    return {"lb_policy": policy, f"{policy.lower()}_lb_config": {"slow_start_config": config}}


def _outliers(outlier: Object | None) -> Object:
    if outlier is None:
        return {}
    return {
        "outlier_detection": {
            "consecutive_gateway_failure": outlier["consecutiveGatewayErrors"],
            "enforcing_consecutive_gateway_failure": 100,
            "consecutive_5xx": outlier.get("consecutive5xxErrors", 0),
            "enforcing_consecutive_5xx": 0,
            "interval": seconds(outlier["interval"]),
            "base_ejection_time": seconds(outlier["baseEjectionTime"]),
            "max_ejection_percent": outlier["maxEjectionPercent"],
            "enforcing_success_rate": 0,
        }
    }


def _assignment(
    name: str, port: Object, wanted: Object, slices: list[Object], labels: dict[tuple[str, str], Object]
) -> Object:
    found = []
    for piece in slices:
        numbers = [p["port"] for p in piece.get("ports") or [] if p.get("name", "") == port.get("name", "")]
        for endpoint in piece.get("endpoints") or []:
            target = endpoint.get("targetRef", {})
            carried = labels.get((target.get("namespace", ""), target.get("name", "")), {})
            ready = endpoint["conditions"].get("ready") and not endpoint["conditions"].get("terminating")
            if ready and wanted.items() <= carried.items():
                found += [(address, number) for address in endpoint["addresses"] for number in numbers]
    return {"cluster_name": name, "endpoints": [{"lb_endpoints": [_endpoint(*place) for place in sorted(found)]}]}


def _endpoint(address: str, port: int) -> Object:
    return {
        "endpoint": {"address": {"socket_address": {"address": address, "port_value": port}}},
        "load_balancing_weight": 1,
    }


def hash_policies(config: Config) -> dict[str, list[Object]]:
    """Return, by host, on what routes hash where a DestinationRule asks for it."""
    out: dict[str, list[Object]] = {}
    for rule in config.destination_rules:
        consistent = rule["spec"]["trafficPolicy"].get("loadBalancer", {}).get("consistentHash")
        if not consistent:
            continue
        if "httpHeaderName" in consistent:
            out[rule["spec"]["host"]] = [{"header": {"header_name": consistent["httpHeaderName"]}}]
        else:
            cookie = consistent["httpCookie"]
            out[rule["spec"]["host"]] = [{"cookie": {"name": cookie["name"], "ttl": seconds(cookie["ttl"])}}]
    return out
