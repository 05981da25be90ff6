"""What names in a VirtualService or DestinationRule mean: Gateways, Services, ports and clusters."""

from typing import Any

from k8s_manager.standalone.translator.config import Config, namespace_of
from k8s_manager.standalone.translator.omissions import UnknownField, mapping

Object = dict[str, Any]
_DOMAIN = ".svc.cluster.local"


def gateway_named(name: str, namespace: str) -> tuple[str, str]:
    """Return (namespace, name) of the Gateway that a VirtualService in a namespace means, in any of Istio's forms."""
    space, slash, last = name.partition("/")
    if slash:
        return (namespace if space == "." else space, last)
    last, _, domain = name.partition(".")
    return (domain.partition(".")[0] or namespace, last)


def host_named(host: str, namespace: str) -> str:
    """Return the full name of a host; one without a dot is a Service of the namespace."""
    return host if "." in host or host == "*" else f"{host}.{namespace}{_DOMAIN}"


def host_of(service: Object) -> str:
    """Return the full name of a Service."""
    return f"{service['metadata']['name']}.{namespace_of(service)}{_DOMAIN}"


def cluster_of(config: Config, namespace: str, destination: Object) -> str:
    """Return the name of the cluster for a destination, as a VirtualService of a namespace names it."""
    host = destination.get("host")
    if not isinstance(host, str) or not host:
        raise UnknownField("route.destination.host", "a name of a Service is expected")
    host = host_named(host, namespace)
    number = mapping(destination.get("port"), "route.destination.port").get("number")
    if number is None:
        number = _only_port(config, host)
    return f"outbound|{number}|{destination.get('subset') or ''}|{host}"


def _only_port(config: Config, host: str) -> int:
    """Return the port of a Service that has one."""
    service = next((found for found in config.services if host_of(found) == host), None)
    if service is None:
        raise UnknownField("route.destination.host", f"there is no Service {host}, and no port is given")
    numbers = [port["port"] for port in service["spec"].get("ports") or []]
    if len(numbers) != 1:
        raise UnknownField("route.destination.port", f"Service {host} has {len(numbers)} ports; give the number of one")
    return int(numbers[0])
