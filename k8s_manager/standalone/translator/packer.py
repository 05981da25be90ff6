"""Resources as xDS carries them; one that does not fit its type is left out alone."""

import logging
from collections.abc import Iterable

from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.core.v3 import extension_pb2
from envoy.config.endpoint.v3 import endpoint_pb2
from envoy.config.listener.v3 import listener_pb2
from envoy.config.route.v3 import route_components_pb2, route_pb2
from envoy.extensions.transport_sockets.tls.v3 import secret_pb2
from google.protobuf import any_pb2, json_format
from google.protobuf.message import Message

from k8s_manager.standalone.translator.config import opaque
from k8s_manager.standalone.translator.snapshot import CLUSTER, ENDPOINT, EXTENSION, LISTENER, ROUTE, SECRET, Object

log = logging.getLogger(__name__)
_MESSAGES: dict[str, type[Message]] = {
    CLUSTER: cluster_pb2.Cluster,
    ENDPOINT: endpoint_pb2.ClusterLoadAssignment,
    LISTENER: listener_pb2.Listener,
    EXTENSION: extension_pb2.TypedExtensionConfig,
    ROUTE: route_pb2.RouteConfiguration,
    SECRET: secret_pb2.Secret,
}


def packed(kind: str, resource: Object) -> any_pb2.Any:
    """Return a resource as xDS carries it."""
    message = json_format.ParseDict(opaque(resource), _MESSAGES[kind]())
    out = any_pb2.Any()
    out.Pack(message)
    return out


class Packer:
    """Packs the resources of one Envoy; each that cannot be packed is logged once."""

    def __init__(self) -> None:
        self._told: set[str] = set()

    def pack(self, kind: str, resources: Iterable[Object]) -> list[any_pb2.Any]:
        """Return the resources that fit their type; of a route table, those routes that do."""
        found = (self._packed(kind, resource) for resource in resources)
        return [packed for packed in found if packed is not None]

    def _packed(self, kind: str, resource: Object) -> any_pb2.Any | None:
        try:
            return packed(kind, resource)
        except json_format.ParseError as error:
            if kind != ROUTE:
                self._tell(f"{kind} {resource.get('name', resource.get('cluster_name'))} is left out: {error}")
                return None
        hosts = [
            {**host, "routes": [route for route in host["routes"] if self._fits(route)]}
            for host in resource["virtual_hosts"]
        ]
        try:
            return packed(kind, {**resource, "virtual_hosts": hosts})
        except json_format.ParseError as error:
            self._tell(f"{kind} {resource['name']} is left out: {error}")
            return None

    def _fits(self, route: Object) -> bool:
        try:
            json_format.ParseDict(opaque(route), route_components_pb2.Route())
        except json_format.ParseError as error:
            self._tell(f"a route of {route['metadata']['filter_metadata']['istio']['config']} is left out: {error}")
            return False
        return True

    def _tell(self, message: str) -> None:
        if message not in self._told:
            self._told.add(message)
            log.warning("%s", message)
