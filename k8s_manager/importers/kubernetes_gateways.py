"""Gateways of the Gateway API that Istio serves, as the gateways that tenants share."""

from istio_templates.facts import Manifest
from k8s_manager.gather import http_route
from k8s_manager.importers.cluster_objects import ExistingObjects, items, namespace_of, part
from k8s_manager.importers.gateways import Gateways, listen
from k8s_manager.importers.proposal import Proposal, label_of

_ISTIOS = "istio"
"""The class whose Gateways Istio serves as ingresses (`istio-waypoint` and `istio-remote` are for meshes)."""


def read(seen: ExistingObjects, found: Gateways, proposal: Proposal) -> None:
    """Read Gateways of the Gateway API."""
    answered = {gateway for route in seen.all("HTTPRoute") for gateway, _ in http_route.answers_of(route)}
    for gateway in seen.all("KubernetesGateway"):
        place = (namespace_of(gateway), gateway["metadata"]["name"])
        by = part(gateway, "spec").get("gatewayClassName")
        if by != _ISTIOS and "/".join(place) not in answered:
            said = (
                f"is left out: its class {by} is not known to be Istio's, and no HTTPRoute has an answer of Istio at it"
            )
            proposal.note(gateway, "spec.gatewayClassName", said)
        elif pods := _pods(gateway, seen, proposal):
            name = found.gateway_of(*pods, wanted=label_of(pods[1].get("istio") or place[1]))
            found.kubernetes[place] = name
            for number, listener in enumerate(items(part(gateway, "spec"), "listeners")):
                _listener(gateway, f"spec.listeners[{number}]", listener, name, found, proposal)


def _pods(gateway: Manifest, seen: ExistingObjects, proposal: Proposal) -> tuple[str, dict[str, str]] | None:
    """Return namespace and labels of the pods that serve a Gateway; None where they are not known."""
    services = http_route.services_of(gateway)
    if services is None:
        return namespace_of(gateway), {http_route.GATEWAY_NAME: gateway["metadata"]["name"]}
    for key in services:
        service = seen.get("Service", key.namespace, key.name)
        if service and (selector := part(part(service, "spec"), "selector")):
            return key.namespace, {str(k): str(v) for k, v in selector.items()}
    listed = ", ".join(f"{key.namespace}/{key.name}" for key in services) or "no Service"
    said = f"lead to {listed}, of which no pods are known, so it is left out; read services too"
    proposal.note(gateway, "spec.addresses", said)
    return None


def _listener(
    gateway: Manifest, place: str, listener: Manifest, name: str, found: Gateways, proposal: Proposal
) -> None:
    """Add a listener; the certificates of HTTPS stay those of the Gateway."""
    number, protocol = listener.get("port"), listener.get("protocol")
    mode = part(listener, "tls").get("mode", "Terminate")
    if type(number) is not int or protocol not in ("HTTP", "HTTPS") or mode != "Terminate":
        said = f"{protocol} with mode {mode}" if mode != "Terminate" else f"{protocol} on port {number}"
        proposal.note(gateway, place, f"{said} is not served; HTTP and HTTPS are")
        return
    wanted = {"name": f"{protocol.lower()}-{number}", "port": number, "protocol": protocol}
    listen(gateway, place, found.listeners.setdefault(name, []), wanted, proposal)
