"""Everything that one gateway pod should run, by type and name. Pure."""

import copy
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from k8s_manager.standalone.translator.clusters import clusters, endpoints, hash_policies
from k8s_manager.standalone.translator.config import Config, GatewayPod, merge, note_telemetries, route_patches
from k8s_manager.standalone.translator.listeners import extension_configs, listeners, secrets
from k8s_manager.standalone.translator.routes import route_tables

Object = dict[str, Any]
Snapshot = dict[str, dict[str, Object]]
# In this order types are sent: what is referred to before what refers to it.
CLUSTER, ENDPOINT, LISTENER, EXTENSION, ROUTE, SECRET = (
    "envoy.config.cluster.v3.Cluster",
    "envoy.config.endpoint.v3.ClusterLoadAssignment",
    "envoy.config.listener.v3.Listener",
    "envoy.config.core.v3.TypedExtensionConfig",
    "envoy.config.route.v3.RouteConfiguration",
    "envoy.extensions.transport_sockets.tls.v3.Secret",
)
ORDER = (CLUSTER, ENDPOINT, SECRET, LISTENER, EXTENSION, ROUTE)


def snapshot(config: Config, pod: GatewayPod) -> Snapshot:
    """Return what a gateway pod should run; what cannot be translated is noted in `config.omissions`."""
    note_telemetries(config, pod)
    tables = route_tables(config, pod)
    hashes = hash_policies(config)
    for table in tables.values() if hashes else ():
        _add_hash_policies(table, hashes)
    _patch_routes(tables.values(), route_patches(config, pod))
    routed = {name for table in tables.values() for name in _clusters_of(table)}
    return {
        CLUSTER: clusters(config, pod, routed),
        ENDPOINT: endpoints(config, pod, routed),
        LISTENER: listeners(config, pod),
        EXTENSION: extension_configs(config, pod),
        ROUTE: tables,
        SECRET: secrets(config, pod),
    }


def _patch_routes(tables: Iterable[Object], patches: dict[str, list[Object]]) -> None:
    """Merge what EnvoyFilters have for routes into copies of them: hosts and matches share one route."""
    for host in (host for table in tables if patches for host in table["virtual_hosts"]):
        host["routes"] = [_patched(route, patches.get(route["name"], ())) for route in host["routes"]]


def _patched(route: Object, values: Sequence[Object]) -> Object:
    out = copy.deepcopy(route) if values else route
    for value in values:
        merge(out, value)
    return out


def _clusters_of(table: Object) -> Iterator[str]:
    for virtual_host in table["virtual_hosts"]:
        for route in virtual_host["routes"]:
            action = route.get("route", {})
            yield from _clusters_behind(action)
            yield from (one["cluster"] for one in action.get("request_mirror_policies", ()))


def _clusters_behind(action: Object) -> list[str]:
    if "cluster" in action:
        return [action["cluster"]]
    return [one["name"] for one in action.get("weighted_clusters", {}).get("clusters", [])]


def _add_hash_policies(table: Object, hashes: dict[str, list[Object]]) -> None:
    for virtual_host in table["virtual_hosts"]:
        for route in virtual_host["routes"]:
            action = route.get("route", {})
            names = _clusters_behind(action)
            policies = [policy for name in names for policy in hashes.get(name.rsplit("|", 1)[1], [])]
            if policies:
                action["hash_policy"] = policies[:1]
                # istiod lets a retry go to the same host then: the hash decides where a request belongs.
                action.get("retry_policy", {}).pop("retry_host_predicate", None)
