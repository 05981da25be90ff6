"""Clusters and their endpoints: one cluster for each port of a Service and each subset of its DestinationRule."""

from typing import Any

from k8s_manager.standalone.translator.actions import seconds
from k8s_manager.standalone.translator.config import Config, GatewayPod, exported, merge, namespace_of, patches_for
from k8s_manager.standalone.translator.destinations import host_named, host_of
from k8s_manager.standalone.translator.endpoints import Upstream, assignments
from k8s_manager.standalone.translator.omissions import Omissions, UnknownField, known_only, mapping, mappings

Object = dict[str, Any]
_HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
_POLICY = frozenset({"connectionPool", "loadBalancer", "outlierDetection"})
_PLAIN = {"tls": {"mode": "DISABLE"}}
"""Values of traffic policies that are the default anyway."""
_BALANCERS = {"LEAST_CONN": "LEAST_REQUEST", "UNSPECIFIED": "LEAST_REQUEST"} | {
    name: name for name in ("LEAST_REQUEST", "ROUND_ROBIN", "RANDOM")
}


def clusters(config: Config, pod: GatewayPod, routed: set[str]) -> dict[str, Object]:
    """Return the clusters that a gateway pod sees, by name; `routed` are those that routes lead to."""
    found: dict[str, Object] = {}
    for upstream in _seen(config, pod, routed):
        with config.omissions.contained(upstream.owner, "spec"):
            found[upstream.cluster] = _cluster(upstream, config.omissions)
    for value in patches_for(config, pod, "CLUSTER"):
        for cluster in found.values():
            merge(cluster, value)
    return found


def endpoints(config: Config, pod: GatewayPod, routed: set[str]) -> dict[str, Object]:
    """Return the endpoints of each of those clusters, by name of the cluster."""
    return assignments(config, _seen(config, pod, routed))


def _seen(config: Config, pod: GatewayPod, routed: set[str]) -> list[Upstream]:
    """Return the clusters of all Services with a DestinationRule, and what routes need of those without one."""
    found, services = [], {host_of(service): service for service in config.services}
    for rule in config.destination_rules:
        with config.omissions.contained(rule, "spec"):
            service = services.get(host_named(rule["spec"]["host"], namespace_of(rule)))
            if service is not None and exported(rule, pod.namespace):
                found += _upstreams(config, rule, service)
    for cluster in sorted(routed - {upstream.cluster for upstream in found}):
        _, number, subset, host = cluster.split("|")
        for port in _ports(services[host]) if host in services and not subset else []:
            if str(port.get("port")) == number:
                found.append(Upstream(cluster, services[host], services[host], port, {}))
    return found


def _upstreams(config: Config, rule: Object, service: Object) -> list[Upstream]:
    """Return the clusters of a Service under a DestinationRule: for each port, the whole and each subset."""
    chosen: list[tuple[str, Object]] = [("", {})]
    for number, subset in enumerate(mappings(rule["spec"].get("subsets"), "subsets")):
        with config.omissions.contained(rule, f"spec.subsets[{number}]"):
            if not isinstance(subset.get("name"), str):
                raise UnknownField("name", "a name is expected")
            chosen.append((subset["name"], mapping(subset.get("labels"), "labels")))
            known_only(subset, frozenset({"name", "labels"}))
    host = host_of(service)
    return [
        Upstream(f"outbound|{port['port']}|{name}|{host}", rule, service, port, labels)
        for port in _ports(service)
        for name, labels in chosen
    ]


def _ports(service: Object) -> list[Object]:
    return [port for port in service["spec"].get("ports") or [] if isinstance(port, dict) and "port" in port]


def _cluster(upstream: Upstream, omissions: Omissions) -> Object:
    policy = mapping(upstream.owner["spec"].get("trafficPolicy"), "trafficPolicy")
    for name in sorted(str(name) for name in policy.keys() - _POLICY if policy[name] != _PLAIN.get(name)):
        omissions.note(upstream.owner, f"spec.trafficPolicy.{name}", "the translator does not know it")
    pool = mapping(policy.get("connectionPool"), "trafficPolicy.connectionPool")
    tcp = mapping(pool.get("tcp"), "trafficPolicy.connectionPool.tcp")
    name = upstream.cluster
    cluster = {
        "name": name,
        "type": "EDS",
        "eds_cluster_config": {"eds_config": {"ads": {}, "resource_api_version": "V3"}, "service_name": name},
        "connect_timeout": seconds(tcp.get("connectTimeout", "10s")),
        "circuit_breakers": {"thresholds": [_thresholds(pool)]},
        "common_lb_config": {"healthy_panic_threshold": {"value": 0}},
        "typed_extension_protocol_options": {_HTTP_OPTIONS: _http_options(pool, upstream.port)},
        "lb_policy": "LEAST_REQUEST",
    }
    # A part of a policy that is not known costs that part alone: the pods are served without it.
    for part, read in (("loadBalancer", _balancing), ("outlierDetection", _outliers)):
        with omissions.contained(upstream.owner, f"spec.trafficPolicy.{part}"):
            cluster |= read(mapping(policy.get(part), ""))
    return cluster


def _thresholds(pool: Object) -> Object:
    tcp, http, most = mapping(pool.get("tcp"), "tcp"), mapping(pool.get("http"), "http"), 2**32 - 1
    return {
        "max_connections": tcp.get("maxConnections", most),
        "max_pending_requests": http.get("http1MaxPendingRequests", most),
        "max_requests": http.get("http2MaxRequests", most),
        "max_retries": most,
        "track_remaining": True,
    }


def _http_options(pool: Object, port: Object) -> Object:
    http2 = str(port.get("name") or "").startswith(("grpc", "http2"))
    protocol: Object = {"http2_protocol_options": {}} if http2 else {"http_protocol_options": {}}
    idle = mapping(pool.get("http"), "http").get("idleTimeout", "3600s")
    return {
        "@type": f"type.googleapis.com/{_HTTP_OPTIONS}",
        "explicit_http_config": protocol,
        "common_http_protocol_options": {"idle_timeout": seconds(idle)},
    }


def _balancing(balancer: Object) -> Object:
    known_only(balancer, frozenset({"consistentHash", "simple", "warmup", "localityLbSetting"}))
    if "consistentHash" in balancer:
        return {"lb_policy": "RING_HASH", "ring_hash_lb_config": {"minimum_ring_size": 1024}}
    simple = balancer.get("simple", "LEAST_REQUEST")
    if simple not in _BALANCERS:
        raise UnknownField("simple", f"the translator does not know {simple}")
    policy = _BALANCERS[simple]
    slow = balancer.get("warmup")
    if slow is None or policy == "RANDOM":
        return {"lb_policy": policy}
    config = {
        "slow_start_window": seconds(slow["duration"]),
        "aggression": {"default_value": slow.get("aggression", 1.0)},
        "min_weight_percent": {"value": slow.get("minimumPercent", 10)},
    }
    return {"lb_policy": policy, f"{policy.lower()}_lb_config": {"slow_start_config": config}}


_OUTLIERS = {
    "consecutiveGatewayErrors": "consecutive_gateway_failure",
    "interval": "interval",
    "baseEjectionTime": "base_ejection_time",
    "maxEjectionPercent": "max_ejection_percent",
}


def _outliers(outlier: Object) -> Object:
    if not outlier:
        return {}
    known_only(outlier, frozenset({*_OUTLIERS, "consecutive5xxErrors"}))
    said = {
        envoys: seconds(value) if isinstance(value, str) else value
        for name, envoys in _OUTLIERS.items()
        if (value := outlier.get(name)) is not None
    }
    return {
        "outlier_detection": {
            **said,
            "enforcing_consecutive_gateway_failure": 100 if "consecutive_gateway_failure" in said else 0,
            "consecutive_5xx": outlier.get("consecutive5xxErrors", 0),
            "enforcing_consecutive_5xx": 0,
            "enforcing_success_rate": 0,
        }
    }


def hash_policies(config: Config) -> dict[str, list[Object]]:
    """Return the hash policy of each host whose DestinationRule has a consistent hash."""
    out: dict[str, list[Object]] = {}
    for rule in config.destination_rules:
        with config.omissions.contained(rule, "spec"):
            policy = mapping(rule["spec"].get("trafficPolicy"), "trafficPolicy")
            balancer = mapping(policy.get("loadBalancer"), "trafficPolicy.loadBalancer")
            consistent = mapping(balancer.get("consistentHash"), "trafficPolicy.loadBalancer.consistentHash")
            if consistent:
                out[host_named(rule["spec"]["host"], namespace_of(rule))] = [_hash_policy(consistent)]
    return out


def _hash_policy(consistent: Object) -> Object:
    if "httpHeaderName" in consistent:
        return {"header": {"header_name": consistent["httpHeaderName"]}}
    if "httpCookie" not in consistent:
        raise UnknownField(
            "trafficPolicy.loadBalancer.consistentHash", "the translator hashes headers and cookies only"
        )
    cookie = consistent["httpCookie"]
    ttl = {"ttl": seconds(cookie["ttl"])} if "ttl" in cookie else {}
    return {"cookie": {"name": cookie["name"], **ttl}}
