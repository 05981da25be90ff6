"""Which logs there are to follow, and whose each route is, by the documents and pods that were read."""

from collectors.access_log.identity import KnownRoutes
from istio_templates.facts import ObjectKey
from istio_templates.names import route_identity
from k8s_manager.gather.document_reader import DocumentReader
from k8s_manager.gather.pod_reader import PodReader
from k8s_manager.kube.store import Store
from k8s_manager.runtime.memo import Last
from k8s_manager.world.tenant import namespace_of

KINDS = ("InferenceGateway", "Tenant", "Model", "Pod")
PROXY = "istio-proxy"


class GatewayLogs:
    """Reads documents and pods again where they have changed; documents that are rejected change nothing."""

    def __init__(self, store: Store) -> None:
        self._store, self._documents, self._pods = store, DocumentReader(store), PodReader(store)
        self._routes = Last()

    def pods(self) -> dict[str, ObjectKey]:
        """Return the gateway pods that log their requests, by the name of their source."""
        found = {}
        for stored in self._documents.all("InferenceGateway"):
            if stored.document and stored.document.spec.logs_requests:
                namespace = stored.document.spec.namespace
                for pod in self._pods.gateway_pods(stored.document.spec):
                    found[f"{namespace}/{pod.name}"] = ObjectKey("Pod", namespace, pod.name)
        return found

    def routes(self) -> KnownRoutes:
        """Return whose each namespace is, and each route of other owners that a model is attached to; the same object
        while no document has changed."""
        return self._routes.get((self._store.changes("Tenant"), self._store.changes("Model")), self._read_routes)

    def _read_routes(self) -> KnownRoutes:
        tenants = {
            namespace_of(stored.key.name, stored.document.spec): stored.key.name
            for stored in self._documents.all("Tenant")
            if stored.document
        }
        attached = {}
        for stored in self._documents.all("Model"):
            namespace = stored.key.namespace
            if stored.document and stored.document.spec.attach_to and namespace in tenants:
                identity = route_identity(stored.document.spec.attach_to.key(namespace))
                attached[identity.route] = (tenants[namespace], stored.key.name)
        return KnownRoutes(tenants, attached)
