"""The endpoints of clusters: addresses of pods that are ready and stay."""

from dataclasses import dataclass
from typing import Any

from k8s_manager.standalone.translator.config import Config, namespace_of
from k8s_manager.standalone.translator.omissions import mapping, mappings

Object = dict[str, Any]
Labels = dict[tuple[str, str], Object]


@dataclass(frozen=True, slots=True)
class Upstream:
    """A cluster: the object whose policy it has (a DestinationRule, or the Service), its Service, the port, and the
    labels of its pods."""

    cluster: str
    owner: Object
    service: Object
    port: Object
    labels: Object


def assignments(config: Config, upstreams: list[Upstream]) -> dict[str, Object]:
    """Return the endpoints of clusters by name."""
    labels = {(namespace_of(p), p["metadata"]["name"]): p["metadata"].get("labels") or {} for p in config.pods}
    slices: dict[tuple[str, str], list[Object]] = {}
    for found in config.endpoint_slices:
        service = (found["metadata"].get("labels") or {}).get("kubernetes.io/service-name", "")
        slices.setdefault((namespace_of(found), service), []).append(found)
    return {upstream.cluster: _assignment(config, upstream, slices, labels) for upstream in upstreams}


def _assignment(
    config: Config, upstream: Upstream, slices: dict[tuple[str, str], list[Object]], labels: Labels
) -> Object:
    found: list[tuple[str, int]] = []
    for piece in slices.get((namespace_of(upstream.service), upstream.service["metadata"]["name"]), []):
        with config.omissions.contained(piece, "endpoints"):
            found += _places(piece, upstream, labels)
    places = [_endpoint(*place) for place in sorted(found)]
    return {"cluster_name": upstream.cluster, "endpoints": [{"lb_endpoints": places}]}


def _places(piece: Object, upstream: Upstream, labels: Labels) -> list[tuple[str, int]]:
    """Return the addresses and ports of an EndpointSlice that belong to a cluster."""
    found, name = [], upstream.port.get("name") or ""
    numbers = [p["port"] for p in mappings(piece.get("ports"), "ports") if (p.get("name") or "") == name]
    for endpoint in mappings(piece.get("endpoints"), ""):
        target = mapping(endpoint.get("targetRef"), "targetRef")
        conditions = mapping(endpoint.get("conditions"), "conditions")
        carried = labels.get((target.get("namespace", ""), target.get("name", "")), {})
        ready = conditions.get("ready") and not conditions.get("terminating")
        if ready and upstream.labels.items() <= carried.items():
            found += [(address, number) for address in endpoint["addresses"] for number in numbers if number]
    return found


def _endpoint(address: str, port: int) -> Object:
    return {
        "endpoint": {"address": {"socket_address": {"address": address, "port_value": port}}},
        "load_balancing_weight": 1,
    }
