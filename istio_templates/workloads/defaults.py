"""Defaults for what a tenant leaves open in its container `model`; what it sets itself stays."""

from typing import Any

from istio_templates.facts import Manifest


def with_ports(given: Any, routed: list[Manifest]) -> Any:
    """Return the ports of a container with those of its routes; one is known by its number and protocol.

    A name that the tenant has given to another port is not given twice: Kubernetes refuses that.
    """
    if not isinstance(given, list) or not all(isinstance(port, dict) for port in given):
        return given or routed
    numbers, names = {_key(port) for port in given}, {str(port.get("name")) for port in given}
    missing = [port for port in routed if _key(port) not in numbers]
    return [*given, *(_unnamed(port) if port["name"] in names else port for port in missing)]


def _key(port: Manifest) -> tuple[str, str]:
    return str(port.get("containerPort")), str(port.get("protocol") or "TCP")


def _unnamed(port: Manifest) -> Manifest:
    return {key: value for key, value in port.items() if key != "name"}


def with_pause(given: Any, pause: int) -> Any:
    """Return a container's lifecycle with a pause of so many seconds before it stops; its own preStop stays."""
    if pause <= 0 or (given and not isinstance(given, dict)):
        return given
    own = {name: hook for name, hook in (given or {}).items() if hook is not None}
    return {"preStop": {"sleep": {"seconds": pause}}, **own}
