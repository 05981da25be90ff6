"""The servers of a Gateway that the translator serves: HTTP, and HTTPS with a certificate of a Secret."""

from collections.abc import Iterator
from typing import Any

from k8s_manager.standalone.translator.config import Config
from k8s_manager.standalone.translator.omissions import UnknownField, mapping, mappings

Object = dict[str, Any]
_PLAIN = ("HTTP", "HTTP2", "GRPC")


def is_plain(server: Object) -> bool:
    """Tell whether a server takes requests without TLS."""
    return str(server["port"]["protocol"]).upper() in _PLAIN


def servers_of(config: Config, gateway: Object) -> Iterator[Object]:
    """Yield the servers of a Gateway that can be served; every other one is left out alone."""
    with config.omissions.contained(gateway, "spec"):
        for number, server in enumerate(mappings(gateway["spec"].get("servers"), "servers")):
            with config.omissions.contained(gateway, f"spec.servers[{number}]"):
                _check(server)
                yield server


def _check(server: Object) -> None:
    port, tls, hosts = mapping(server.get("port"), "port"), mapping(server.get("tls"), "tls"), server.get("hosts")
    if not isinstance(port.get("number"), int) or not 0 < port["number"] < 65536:
        raise UnknownField("port.number", "a number from 1 to 65535 is expected")
    if not isinstance(hosts, list) or not all(isinstance(host, str) and host for host in hosts):
        raise UnknownField("hosts", "a list of hosts is expected")
    protocol = str(port.get("protocol", "")).upper()
    if protocol in _PLAIN:
        return
    if protocol != "HTTPS":
        raise UnknownField("port.protocol", f"{protocol or 'none'} is not served; HTTP and HTTPS are")
    if tls.get("mode", "SIMPLE") != "SIMPLE" or not isinstance(tls.get("credentialName"), str):
        raise UnknownField("tls", "HTTPS is served with mode SIMPLE and a credentialName only")
    if not isinstance(port.get("name"), str):
        raise UnknownField("port.name", "a name is expected")
