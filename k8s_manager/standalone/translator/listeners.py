"""Listeners: one per port, with the filters that EnvoyFilters put before the router."""

from typing import Any

from k8s_manager.standalone.translator.actions import CORS_FILTER
from k8s_manager.standalone.translator.config import (
    Config,
    GatewayPod,
    gateways_for,
    merge,
    namespace_of,
    patches_for,
    split_host,
)
from k8s_manager.standalone.translator.omissions import UnknownField
from k8s_manager.standalone.translator.routes import route_name
from k8s_manager.standalone.translator.servers import is_plain, servers_of

Object = dict[str, Any]
_HCM = "envoy.filters.network.http_connection_manager"
_TYPE = "type.googleapis.com/envoy.extensions.filters"
_TLS_VERSIONS = {"TLS_AUTO": "TLSv1_2", **{f"TLSV1_{minor}": f"TLSv1_{minor}" for minor in range(4)}}
_ADS = {"ads": {}, "resource_api_version": "V3"}


def listeners(config: Config, pod: GatewayPod) -> dict[str, Object]:
    """Return the listeners of a gateway pod by name."""
    out: dict[str, Object] = {}
    for gateway in gateways_for(config, pod):
        for server in servers_of(config, gateway):
            with config.omissions.contained(gateway, f"spec.servers of port {server['port']['number']}"):
                _add(out, config, pod, gateway, server)
    return out


def _add(out: dict[str, Object], config: Config, pod: GatewayPod, gateway: Object, server: Object) -> None:
    """Add a server to the listener of its port; all plain servers of a port share one filter chain."""
    number = server["port"]["number"]
    name = f"0.0.0.0_{number}"
    chains = out.get(name, {}).get("filter_chains", [])
    if chains and ("transport_socket" in chains[0]) == is_plain(server):
        raise UnknownField("", "the port is served with TLS and without; one of both is expected")
    if is_plain(server):
        out.setdefault(
            name, {**_listener(name, pod.address, number), "filter_chains": [_chain(config, pod, gateway, server)]}
        )
        return
    secured = _tls(server)
    if twice := _sni(secured) & {name for chain in chains for name in _sni(chain)}:
        raise UnknownField("", f"another server of the port has {min(twice)} too")
    listener = out.setdefault(name, _listener(name, pod.address, number))
    listener["filter_chains"].append({**_chain(config, pod, gateway, server), **secured})
    listener["listener_filters"] = [_tls_inspector()]


def _listener(name: str, address: str, port: int) -> Object:
    place = {"socket_address": {"address": address, "port_value": port}}
    return {"name": name, "address": place, "filter_chains": [], "traffic_direction": "OUTBOUND"}


def _chain(config: Config, pod: GatewayPod, gateway: Object, server: Object) -> Object:
    port = server["port"]["number"]
    manager: Object = {
        "@type": f"{_TYPE}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": f"outbound_0.0.0.0_{port}",
        "rds": {"config_source": _ADS, "route_config_name": route_name(gateway, server)},
        "http_filters": _http_filters(config, pod),
        "use_remote_address": True,
        "normalize_path": True,
        "path_with_escaped_slashes_action": "KEEP_UNCHANGED",
        "stream_idle_timeout": "0s",
        "upgrade_configs": [{"upgrade_type": "websocket"}],
    }
    for value in patches_for(config, pod, "NETWORK_FILTER"):
        merge(manager, value)
    return {"filters": [{"name": _HCM, "typed_config": manager}]}


def _http_filters(config: Config, pod: GatewayPod) -> list[Object]:
    inserted = patches_for(config, pod, "HTTP_FILTER")
    router = {"name": "envoy.filters.http.router", "typed_config": {"@type": f"{_TYPE}.http.router.v3.Router"}}
    return [CORS_FILTER, *inserted, router]


def _tls(server: Object) -> Object:
    names = sorted({split_host(host)[1] for host in server["hosts"]})
    match = {} if "*" in names else {"server_names": names}
    secret = {"name": f"kubernetes://{server['tls']['credentialName']}", "sds_config": _ADS}
    context = {
        "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
        "common_tls_context": {
            "alpn_protocols": ["h2", "http/1.1"],
            "tls_params": {
                "tls_minimum_protocol_version": _TLS_VERSIONS[server["tls"].get("minProtocolVersion", "TLSV1_2")]
            },
            "tls_certificate_sds_secret_configs": [secret],
        },
        "require_client_certificate": False,
    }
    return {
        "filter_chain_match": match,
        "transport_socket": {"name": "envoy.transport_sockets.tls", "typed_config": context},
    }


def _sni(chain: Object) -> set[str]:
    return set(chain["filter_chain_match"].get("server_names", ("*",)))


def _tls_inspector() -> Object:
    kind = f"{_TYPE}.listener.tls_inspector.v3.TlsInspector"
    return {"name": "envoy.filters.listener.tls_inspector", "typed_config": {"@type": kind}}


def extension_configs(config: Config, pod: GatewayPod) -> dict[str, Object]:
    """Return the filter configurations that are sent apart from their listener, by name."""
    return {value["name"]: value for value in patches_for(config, pod, "EXTENSION_CONFIG")}


def secrets(config: Config, pod: GatewayPod) -> dict[str, Object]:
    """Return the certificates in the gateway pod's namespace, by the name that listeners use."""
    out: dict[str, Object] = {}
    for secret in config.secrets:
        data = secret.get("data") or {}
        if namespace_of(secret) == pod.namespace and {"tls.crt", "tls.key"} <= data.keys():
            name = f"kubernetes://{secret['metadata']['name']}"
            certificate = {"inline_bytes": data["tls.crt"]}
            key = {"inline_bytes": data["tls.key"]}
            out[name] = {"name": name, "tls_certificate": {"certificate_chain": certificate, "private_key": key}}
    return out
