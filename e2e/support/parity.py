"""What an Envoy's configuration makes it do: the part of a configuration dump that decides behaviour.

Two configurations with the same behaviour route, limit and balance every request alike. What is left out, and why:

- Istio's own filters (fault, grpc_stats), tracing, access logs, statistics' names and its metadata about
  clusters and endpoints: they tell about requests and do nothing to them, since no object of ours configures them;
- the virtual host that answers 404 where nothing else is bound: Envoy does so without it;
- a virtual host whose domain holds a slash: istiod makes one for each entry of a server that redirects, with the
  entry's namespace in it, and no request has such a host; and the routes behind a redirect, which nothing reaches;
- clusters of Services outside the tenants' namespaces, which no route of ours reaches;
- route tables and slot configurations that no listener refers to: a pod keeps what an earlier case left;
- the `runtime_key` of a slow start's aggression: a runtime flag that nobody sets, which istiod names after a number;
- `decorator`, `max_grpc_timeout`, `auto_host_rewrite` and the names of virtual hosts: how a request is named in a trace.
"""

from typing import Any

Object = dict[str, Any]
ISTIO_FILTERS = ("envoy.filters.http.fault", "envoy.filters.http.grpc_stats")
_CORS = (
    "allow_origin_string_match", "allow_methods", "allow_headers", "expose_headers", "max_age", "allow_credentials",
    "forward_not_matching_preflights",
)  # fmt: skip
_MANAGER = (
    "rds", "use_remote_address", "normalize_path", "stream_idle_timeout", "common_http_protocol_options",
    "upgrade_configs", "path_with_escaped_slashes_action", "merge_slashes", "http2_protocol_options",
)  # fmt: skip
_ACTION = (
    "cluster",
    "timeout",
    "retry_policy",
    "hash_policy",
    "prefix_rewrite",
    "regex_rewrite",
    "host_rewrite_literal",
)
_ROUTE = (
    "name", "match", "direct_response", "redirect", "request_headers_to_add", "request_headers_to_remove",
    "response_headers_to_add", "response_headers_to_remove",
)  # fmt: skip
_CLUSTER = (
    "lb_policy",
    "connect_timeout",
    "ring_hash_lb_config",
    "least_request_lb_config",
    "slow_start_config",
    "track_cluster_stats",
)
_OUTLIER = ("consecutive_gateway_failure", "enforcing_consecutive_gateway_failure", "consecutive_5xx",
            "enforcing_consecutive_5xx", "interval", "base_ejection_time", "max_ejection_percent")  # fmt: skip
_THRESHOLDS = ("max_connections", "max_pending_requests", "max_requests", "max_retries")


def behaviour(dump: Object, namespaces: list[str]) -> Object:
    """Return what decides behaviour, in a form that can be compared."""
    dump = unwrapped(dump)
    parts = {config["@type"].rsplit(".", 1)[-1]: config for config in dump["configs"]}
    clusters = [c["cluster"] for c in parts["ClustersConfigDump"].get("dynamic_active_clusters", [])]
    ours = {c["name"]: c for c in clusters if _is_in(c["name"], namespaces)}
    assignments = [e["endpoint_config"] for e in parts["EndpointsConfigDump"].get("dynamic_endpoint_configs", [])]
    listeners = _listeners(parts["ListenersConfigDump"])
    chains = [chain for found in listeners.values() for chain in found]
    tables, limits = _tables(parts["RoutesConfigDump"]), _limits(parts.get("EcdsConfigDump", {}))
    return {
        "listeners": listeners,
        "routes": {name: tables.get(name) for name in sorted({chain["route_table"] for chain in chains})},
        "clusters": {name: _cluster(cluster) for name, cluster in sorted(ours.items())},
        "endpoints": {a["cluster_name"]: _endpoints(a) for a in assignments if a.get("cluster_name") in ours},
        "limits": {name: limits.get(name) for chain in chains for name in chain["filters"] if "slot" in name},
    }


def unwrapped(value: Any) -> Any:
    """Return a dump with every TypedStruct as the message that it stands for: the translator writes nothing else."""
    if isinstance(value, dict):
        if value.get("@type", "").endswith("TypedStruct"):
            value = {"@type": value["type_url"], **value.get("value", {})}
        return {name: unwrapped(inner) for name, inner in value.items()}
    return [unwrapped(inner) for inner in value] if isinstance(value, list) else value


def _is_in(cluster: str, namespaces: list[str]) -> bool:
    return any(cluster.endswith(f".{namespace}.svc.cluster.local") for namespace in namespaces)


def _listeners(dump: Object) -> Object:
    found = [
        entry["active_state"]["listener"] for entry in dump.get("dynamic_listeners", []) if "active_state" in entry
    ]
    return {
        str(listener["address"]["socket_address"]["port_value"]): sorted(
            (_chain(chain) for chain in listener["filter_chains"]), key=str
        )
        for listener in found
    }


def _chain(chain: Object) -> Object:
    manager = chain["filters"][-1]["typed_config"]
    filters = [f["name"] for f in manager["http_filters"] if f["name"] not in ISTIO_FILTERS]
    discovered = [f for f in manager["http_filters"] if "config_discovery" in f]
    tls = chain.get("transport_socket", {}).get("typed_config", {})
    return {
        "server_names": sorted(chain.get("filter_chain_match", {}).get("server_names", [])),
        "tls": _tls(tls) if tls else None,
        "route_table": manager["rds"]["route_config_name"],
        "filters": filters,
        "discovered": discovered,
        **{name: manager[name] for name in _MANAGER if name in manager and name != "rds"},
    }


def _tls(context: Object) -> Object:
    common = context["common_tls_context"]
    secrets = common.get("tls_certificate_sds_secret_configs", [])
    return {
        "minimum": common.get("tls_params", {}).get("tls_minimum_protocol_version"),
        "alpn": common.get("alpn_protocols"),
        "certificates": [secret["name"] for secret in secrets],
        "client_certificate": context.get("require_client_certificate", False),
    }


def _tables(dump: Object) -> Object:
    tables = [entry["route_config"] for entry in dump.get("dynamic_route_configs", [])]
    return {table["name"]: _hosts(table) for table in tables}


def _hosts(table: Object) -> Object:
    return {
        domain: {
            "require_tls": host.get("require_tls"),
            "routes": [] if host.get("require_tls") else [_route(route) for route in host.get("routes", [])],
        }
        for host in table.get("virtual_hosts", [])
        for domain in host["domains"]
        if domain != "*" and "/" not in domain
    }


def _route(route: Object) -> Object:
    action = route.get("route", {})
    out = {name: route[name] for name in _ROUTE if name in route}
    out |= {name: action[name] for name in _ACTION if name in action}
    if weighted := action.get("weighted_clusters"):
        out["weighted"] = [(c["name"], c.get("weight", 0)) for c in weighted["clusters"]]
    cors = route.get("typed_per_filter_config", {}).get("envoy.filters.http.cors", {})
    out["cors"] = {name: cors[name] for name in _CORS if name in cors}
    out["identity"] = route.get("metadata", {}).get("filter_metadata", {}).get("istio", {}).get("config")
    return out


def _without_flag(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    return {name: _without_flag(inner) for name, inner in value.items() if name != "runtime_key"}


def _cluster(cluster: Object) -> Object:
    thresholds = (cluster.get("circuit_breakers", {}).get("thresholds") or [{}])[0]
    outlier = cluster.get("outlier_detection", {})
    options = next(iter(cluster.get("typed_extension_protocol_options", {}).values()), {})
    explicit = options.get("explicit_http_config", {})
    return {
        **{name: _without_flag(cluster[name]) for name in _CLUSTER if name in cluster},
        "panic": cluster.get("common_lb_config", {}).get("healthy_panic_threshold"),
        "locality": cluster.get("common_lb_config", {}).get("locality_weighted_lb_config"),
        "thresholds": {name: thresholds[name] for name in _THRESHOLDS if name in thresholds},
        "outliers": {name: outlier[name] for name in _OUTLIER if name in outlier},
        "http2": "http2_protocol_options" in explicit,
        "idle": options.get("common_http_protocol_options", {}).get("idle_timeout"),
        "tls": "transport_socket" in cluster,
    }


def _endpoints(assignment: Object) -> list[str]:
    found = []
    for locality in assignment.get("endpoints", []):
        for endpoint in locality.get("lb_endpoints", []):
            place = endpoint["endpoint"]["address"]["socket_address"]
            found.append(f"{place['address']}:{place['port_value']} {endpoint.get('health_status', 'HEALTHY')}")
    return sorted(found)


def _limits(dump: Object) -> Object:
    found = [entry["ecds_filter"] for entry in dump.get("ecds_filters", []) if "ecds_filter" in entry]
    return {config["name"]: config["typed_config"] for config in sorted(found, key=lambda config: str(config["name"]))}


def differences(ours: Any, theirs: Any, path: str = "") -> list[str]:
    """Return every place where two behaviours differ: path, the translator's value, istiod's value."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        names = sorted(ours.keys() | theirs.keys())
        return [d for name in names for d in differences(ours.get(name), theirs.get(name), f"{path}/{name}")]
    if isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        return [d for i, pair in enumerate(zip(ours, theirs, strict=True)) for d in differences(*pair, f"{path}[{i}]")]
    return [] if ours == theirs else [f"{path}: translator {ours!r}, istiod {theirs!r}"]
