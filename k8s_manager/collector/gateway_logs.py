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
        """Return whose each namespace is, each route of other owners that a model is attached to, and the arms of
        models; the same object while no document has changed."""
        return self._routes.get((self._store.changes("Tenant"), self._store.changes("Model")), self._read_routes)

    def _read_routes(self) -> KnownRoutes:
        tenants = {
            namespace_of(stored.key.name, stored.document.spec): stored.key.name
            for stored in self._documents.all("Tenant")
            if stored.document
        }
        attached, arms = dict[str, tuple[str, str]](), dict[tuple[str, str], frozenset[str]]()
        for stored in self._documents.all("Model"):
            namespace = stored.key.namespace
            if not stored.document or namespace not in tenants:
                continue
            spec, served = stored.document.spec, (tenants[namespace], stored.key.name)
            if spec.attach_to:
                attached[route_identity(spec.attach_to.key(namespace)).route] = served
            if spec.traffic_matches:
                arms[served] = frozenset(match.arm for match in spec.traffic_matches)
        return KnownRoutes(tenants, attached, arms)
