"""Route tables: one per plain HTTP port, one per HTTPS server."""

import re
from collections.abc import Iterator
from typing import Any

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

Object = dict[str, Any]


def route_name(gateway: Object, server: Object) -> str:
    """Return the name of the route table of a server, as istiod names it."""
    port = server["port"]
    if server["port"]["protocol"] == "HTTP":
        return f"http.{port['number']}"
    return f"https.{port['number']}.{port['name']}.{gateway['metadata']['name']}.{namespace_of(gateway)}"


def route_tables(config: Config, pod: GatewayPod) -> dict[str, Object]:
    """Return all route tables of a gateway pod by name."""
    hosts: dict[str, dict[str, Object]] = {}
    for gateway in gateways_for(config, pod):
        for server in gateway["spec"]["servers"]:
            table = hosts.setdefault(route_name(gateway, server), {})
            for virtual_service in _bound(config, pod, gateway):
                _add(table, gateway, server, virtual_service)
    return {name: _table(name, table) for name, table in hosts.items()}


def _bound(config: Config, pod: GatewayPod, gateway: Object) -> list[Object]:
    name = f"{namespace_of(gateway)}/{gateway['metadata']['name']}"
    return by_age(
        v for v in config.virtual_services if name in v["spec"].get("gateways", []) and exported(v, pod.namespace)
    )


def _add(table: dict[str, Object], gateway: Object, server: Object, virtual_service: Object) -> None:
    """Add a VirtualService's routes to every host that the server lets its namespace bind."""
    port, namespace = server["port"]["number"], namespace_of(virtual_service)
    for host in virtual_service["spec"]["hosts"]:
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
        if server.get("tls", {}).get("httpsRedirect"):
            virtual_host["require_tls"] = "ALL"
        else:
            virtual_host["routes"].extend(_routes(virtual_service))


def _admits(gateway: Object, server: Object, namespace: str, host: str) -> bool:
    for entry in server["hosts"]:
        allowed, pattern = split_host(entry)
        allowed = namespace_of(gateway) if allowed == "." else allowed
        if allowed in ("*", namespace) and host_matches(pattern, host):
            return True
    return False


def _table(name: str, hosts: dict[str, Object]) -> Object:
    for virtual_host in hosts.values():
        # Istio moves what matches everything behind the rest, and keeps the order of age otherwise.
        virtual_host["routes"].sort(
            key=lambda route: route["match"].get("prefix") == "/" and "headers" not in route["match"]
        )
    table: Object = {"name": name, "virtual_hosts": list(hosts.values()), "validate_clusters": False}
    return {**table, "ignore_port_in_host_matching": True, "max_direct_response_body_size_bytes": 1048576}


def _routes(virtual_service: Object) -> Iterator[Object]:
    metadata = virtual_service["metadata"]
    config = (
        f"/apis/networking.istio.io/v1/namespaces/{namespace_of(virtual_service)}/virtual-service/{metadata['name']}"
    )
    for http in virtual_service["spec"]["http"]:
        for match in http.get("match", [{"uri": {"prefix": "/"}}]):
            yield {
                "name": http.get("name", ""),
                "match": _match(match),
                "metadata": {"filter_metadata": {"istio": {"config": config}}},
                **_action(http),
                **_headers(http.get("headers", {})),
            }


def _match(match: Object) -> Object:
    uri = match.get("uri", {"prefix": "/"})
    out: Object = {"path": uri["exact"]} if "exact" in uri else {"prefix": uri["prefix"]}
    out["case_sensitive"] = True
    headers = [{"name": name, "string_match": _string(value)} for name, value in match.get("headers", {}).items()]
    if "authority" in match:
        headers.append({"name": ":authority", "string_match": _string(match["authority"])})
    if headers:
        out["headers"] = headers
    return out


def _string(value: Object) -> Object:
    if "regex" in value:
        return {"safe_regex": {"regex": value["regex"]}}
    return dict(value)


def _action(http: Object) -> Object:
    if "directResponse" in http:
        direct = http["directResponse"]
        body = {"body": {"inline_string": direct["body"]["string"]}} if "body" in direct else {}
        return {"direct_response": {"status": direct["status"], **body}}
    destinations = http["route"]
    route: Object = {"timeout": seconds(http.get("timeout", "0s"))}
    if len(destinations) == 1:
        route["cluster"] = cluster_of(destinations[0]["destination"])
    else:
        route["weighted_clusters"] = {
            "clusters": [{"name": cluster_of(d["destination"]), "weight": d["weight"]} for d in destinations]
        }
    if retries := http.get("retries"):
        route |= _retries(retries)
    return {"route": route}


def _retries(retries: Object) -> Object:
    if not retries.get("attempts"):
        return {}
    policy: Object = {
        "retry_on": retries.get("retryOn", ""),
        "num_retries": retries["attempts"],
        "retry_host_predicate": [
            {
                "name": "envoy.retry_host_predicates.previous_hosts",
                "typed_config": {
                    "@type": "type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"
                },
            }
        ],
        "host_selection_retry_max_attempts": "5",
    }
    if "perTryTimeout" in retries:
        policy["per_try_timeout"] = seconds(retries["perTryTimeout"])
    return {"retry_policy": policy}


def _headers(headers: Object) -> Object:
    out: Object = {}
    for side in ("request", "response"):
        edits = headers.get(side, {})
        add = [_header(name, value, "OVERWRITE_IF_EXISTS_OR_ADD") for name, value in edits.get("set", {}).items()]
        add += [_header(name, value, "APPEND_IF_EXISTS_OR_ADD") for name, value in edits.get("add", {}).items()]
        if add:
            out[f"{side}_headers_to_add"] = add
        if edits.get("remove"):
            out[f"{side}_headers_to_remove"] = edits["remove"]
    return out


def _header(name: str, value: str, action: str) -> Object:
    return {"header": {"key": name, "value": value}, "append_action": action}


def cluster_of(destination: Object) -> str:
    """Return the name of the cluster for a destination."""
    return f"outbound|{destination['port']['number']}|{destination.get('subset', '')}|{destination['host']}"


def seconds(duration: str) -> str:
    """Return a Go duration in the form that protobuf takes: seconds only."""
    scale = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
    total = sum(float(n) * scale[u] for n, u in re.findall(r"([0-9.]+)(ms|s|m|h)", duration))
    return f"{total:.3f}".rstrip("0").rstrip(".") + "s"
