"""Route tables: one per plain HTTP port, one per HTTPS server."""

from collections.abc import Iterator
from functools import partial
from typing import Any

from k8s_manager.standalone.translator.actions import HTTP_FIELDS, action_of, cors_of, header_edits
from k8s_manager.standalone.translator.config import (
    Config,
    GatewayPod,
    by_age,
    exported,
    gateways_for,
    host_matches,
    namespace_of,
    split_host,
)
from k8s_manager.standalone.translator.destinations import cluster_of, gateway_named
from k8s_manager.standalone.translator.matches import match_of, takes_everything
from k8s_manager.standalone.translator.omissions import UnknownField, mapping, mappings
from k8s_manager.standalone.translator.servers import is_plain, servers_of

Object = dict[str, Any]


def route_name(gateway: Object, server: Object) -> str:
    """Return the name of the route table of a server, as istiod names it."""
    port = server["port"]
    if is_plain(server):
        return f"http.{port['number']}"
    return f"https.{port['number']}.{port['name']}.{gateway['metadata']['name']}.{namespace_of(gateway)}"


def route_tables(config: Config, pod: GatewayPod) -> dict[str, Object]:
    """Return all route tables of a gateway pod by name."""
    hosts: dict[str, dict[str, Object]] = {}
    for gateway in gateways_for(config, pod):
        bound = [(found, list(_routes(config, found))) for found in _bound(config, pod, gateway)]
        for server in servers_of(config, gateway):
            table = hosts.setdefault(route_name(gateway, server), {})
            for virtual_service, routes in bound:
                _add(table, gateway, server, virtual_service, routes)
    return {name: _table(name, table) for name, table in hosts.items()}


def _bound(config: Config, pod: GatewayPod, gateway: Object) -> list[Object]:
    name, found = (namespace_of(gateway), gateway["metadata"]["name"]), []
    for virtual_service in config.virtual_services:
        with config.omissions.contained(virtual_service, "spec"):
            named = {gateway_named(said, namespace_of(virtual_service)) for said in _texts(virtual_service, "gateways")}
            if name in named and exported(virtual_service, pod.namespace):
                _texts(virtual_service, "hosts")
                _note_unserved(config, virtual_service)
                found.append(virtual_service)
    return by_age(found)


def _note_unserved(config: Config, virtual_service: Object) -> None:
    for name in ("tls", "tcp"):
        if virtual_service["spec"].get(name):
            config.omissions.note(virtual_service, f"spec.{name}", "the translator serves HTTP only")


def _texts(obj: Object, name: str) -> list[str]:
    found = obj["spec"].get(name) or []
    if not isinstance(found, list) or not all(isinstance(item, str) and item for item in found):
        raise UnknownField(name, "a list of texts is expected")
    return found


def _add(
    table: dict[str, Object], gateway: Object, server: Object, virtual_service: Object, routes: list[Object]
) -> None:
    """Add a VirtualService's routes to every host that the server lets its namespace bind."""
    port, namespace = server["port"]["number"], namespace_of(virtual_service)
    # Envoy compares domains without case, and takes no table in which one stands twice.
    for host in dict.fromkeys(host.lower() for host in _texts(virtual_service, "hosts")):
        if not _admits(gateway, server, namespace, host):
            continue
        virtual_host = table.setdefault(
            host,
            {
                "name": f"{host}:{port}",
                "domains": [host],
                "routes": [],
                "include_request_attempt_count": True,
            },
        )
        if (server.get("tls") or {}).get("httpsRedirect"):
            virtual_host["require_tls"] = "ALL"
        else:
            virtual_host["routes"].extend(routes)


def _admits(gateway: Object, server: Object, namespace: str, host: str) -> bool:
    for entry in server["hosts"]:
        allowed, pattern = split_host(entry)
        allowed = namespace_of(gateway) if allowed == "." else allowed
        if allowed in ("*", namespace) and host_matches(pattern.lower(), host):
            return True
    return False


def _table(name: str, hosts: dict[str, Object]) -> Object:
    for virtual_host in hosts.values():
        # Istio moves what matches everything behind the rest, and keeps the order of age otherwise.
        virtual_host["routes"].sort(key=lambda route: takes_everything(route["match"]))
    table: Object = {"name": name, "virtual_hosts": list(hosts.values()), "validate_clusters": False}
    return {**table, "ignore_port_in_host_matching": True, "max_direct_response_body_size_bytes": 1048576}


def _routes(config: Config, virtual_service: Object) -> Iterator[Object]:
    """Yield the routes of a VirtualService that can be translated; one that cannot is left out alone."""
    with config.omissions.contained(virtual_service, "spec"):
        for number, http in enumerate(mappings(virtual_service["spec"].get("http"), "http")):
            yield from _routes_of(config, virtual_service, http, f"spec.http[{number}]")


def _routes_of(config: Config, virtual_service: Object, http: Object, place: str) -> Iterator[Object]:
    metadata, omissions = virtual_service["metadata"], config.omissions
    named = (
        f"/apis/networking.istio.io/v1/namespaces/{namespace_of(virtual_service)}/virtual-service/{metadata['name']}"
    )
    made: Object = {}
    with omissions.contained(virtual_service, place):
        action = action_of(http, partial(cluster_of, config, namespace_of(virtual_service)))
        made = {
            "name": str(http.get("name", "")),
            "metadata": {"filter_metadata": {"istio": {"config": named}}},
            **action,
            **header_edits(mapping(http.get("headers"), "headers")),
            **cors_of(mapping(http.get("corsPolicy"), "corsPolicy")),
        }
        for name in sorted(map(str, http.keys() - HTTP_FIELDS)):
            omissions.note(virtual_service, f"{place}.{name}", "the translator does not know it")
    for number, match in enumerate(http.get("match") or [{}] if made else []):
        with omissions.contained(virtual_service, f"{place}.match[{number}]"):
            yield {**made, "match": match_of(match)}
