"""Fields of a tenant's objects in which the manager can keep edits of others. Pure.

Every other field isolates tenants, counts replicas, or keeps cold replicas out of traffic, and is set back under every
policy. The list says what can be kept: a list of what cannot would miss a field one day.
"""

from collections.abc import Iterator
from typing import Any

import orjson

from istio_templates.facts import Manifest
from istio_templates.virtual_service import destinations_of, http_of, matches_of, subsets_used
from k8s_manager.drift.compare import Path

_OURS = "tidegate.dev/"
_CONTAINER = ("spec", "template", "spec", "containers", "*")
_FIELDS: dict[str, tuple[Path, ...]] = {
    "Gateway": (("spec", "servers"),),
    "VirtualService": (("spec", "http"), ("spec", "exportTo")),
    "DestinationRule": (("spec", "trafficPolicy"), ("spec", "exportTo")),
    "PodDisruptionBudget": (("spec", "minAvailable"), ("spec", "maxUnavailable")),
    "Deployment": (
        ("spec", "replicas"),
        ("spec", "strategy"),
        ("spec", "template", "metadata", "annotations"),
        *((*_CONTAINER, field) for field in ("image", "imagePullPolicy", "command", "args", "env", "resources")),
    ),
}
_OF_TLS = ("minProtocolVersion", "maxProtocolVersion", "cipherSuites")


def is_adoptable(path: Path, wanted: Manifest, live: Manifest) -> bool:
    """Tell whether others may set a field, and have set it within the tenant's own hosts and namespace."""
    plain = tuple("*" if key.startswith("[") else key for key in path)
    if not any(plain[: len(prefix)] == prefix for prefix in _FIELDS.get(wanted["kind"], ())):
        return False
    if any(key.startswith(_OURS) for key in (*path, *_keys_at(wanted, path))):
        return False
    match wanted["kind"], path[1]:
        case "VirtualService", "http":
            return _is_steady(wanted, live) and _takes(wanted) == _takes(live) and _stays_inside(live)
        case "Gateway", _:
            return _served(wanted) == _served(live)
    return True


def _keys_at(value: Any, path: Path) -> Iterator[str]:
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    yield from value if isinstance(value, dict) else ()


def _is_steady(wanted: Manifest, live: Manifest) -> bool:
    """Tell whether all requests of a model go to one version, and to no other than the desired one: which version
    answers, and whether any does, depends on replicas and pauses."""
    one_each = all(len(http.get("route") or ()) == 1 for http in http_of(wanted))
    return one_each and len(subsets_used(wanted)) == 1 and subsets_used(live) <= {*subsets_used(wanted), ""}


def _takes(obj: Manifest) -> set[bytes]:
    """Return which requests a VirtualService takes, as its matches say it."""
    found = [match for http in http_of(obj) for match in matches_of(http)]
    whole = {"uri": {"prefix": "/"}}
    return {orjson.dumps({**whole, **_without(match, ("name",))}, option=orjson.OPT_SORT_KEYS) for match in found}


def _stays_inside(obj: Manifest) -> bool:
    """Tell whether a VirtualService sends requests to its own namespace only."""
    namespace = obj["metadata"]["namespace"]
    ends = ("", *(f".{namespace}{end}" for end in ("", ".svc", ".svc.cluster.local")))
    return all(host is not None and host.removeprefix(host.partition(".")[0]) in ends for host in destinations_of(obj))


def _served(obj: Manifest) -> set[bytes]:
    """Return which host is served on which port, under which certificate and for which namespace's routes."""
    out = set()
    for server in (obj.get("spec") or {}).get("servers") or ():
        port, tls = _without(server.get("port") or {}, ("name",)), _without(server.get("tls") or {}, _OF_TLS)
        rest = {**_without(server, ("name", "hosts")), "port": port, "tls": tls}
        out |= {orjson.dumps([host, rest], option=orjson.OPT_SORT_KEYS) for host in server.get("hosts") or ()}
    return out


def _without(value: Manifest, fields: tuple[str, ...]) -> Manifest:
    return {name: inner for name, inner in value.items() if name not in fields}
