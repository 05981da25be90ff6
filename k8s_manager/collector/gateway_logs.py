"""Which logs there are to follow, and whose each route is, by the documents and pods that were read."""

from collections.abc import Iterator

from collectors.access_log.identity import KnownRoutes
from istio_templates.documents import InferenceGatewaySpec, ModelSpec, TenantSpec, parse
from istio_templates.documents.parse import Document
from istio_templates.errors import Invalid
from istio_templates.facts import ObjectKey
from istio_templates.names import route_identity
from k8s_manager.gather.pod_reader import PodReader
from k8s_manager.kube.store import Store
from k8s_manager.world.tenant import namespace_of

KINDS = ("InferenceGateway", "Tenant", "Model", "Pod")
PROXY = "istio-proxy"


class GatewayLogs:
    """Reads documents and pods anew where they have changed."""

    def __init__(self, store: Store) -> None:
        self._store, self._pods = store, PodReader(store)

    def pods(self) -> dict[str, ObjectKey]:
        """Return the gateway pods that log their requests, by the name of their source."""
        found = {}
        for document in self._documents("InferenceGateway"):
            if isinstance(document.spec, InferenceGatewaySpec) and document.spec.logs_requests:
                for pod in self._pods.gateway_pods(document.spec):
                    found[f"{document.spec.namespace}/{pod.name}"] = ObjectKey("Pod", document.spec.namespace, pod.name)
        return found

    def routes(self) -> KnownRoutes:
        """Return whose each namespace is, and each route of other owners that a model is attached to."""
        tenants = {
            namespace_of(document.name, document.spec): document.name
            for document in self._documents("Tenant")
            if isinstance(document.spec, TenantSpec)
        }
        attached = {}
        for document in self._documents("Model"):
            namespace = document.namespace or ""
            if isinstance(document.spec, ModelSpec) and document.spec.attach_to and namespace in tenants:
                identity = route_identity(document.spec.attach_to.key(namespace))
                attached[identity.route] = (tenants[namespace], document.name)
        return KnownRoutes(tenants, attached)

    def _documents(self, kind: str) -> Iterator[Document]:
        for obj in self._store.all(kind):
            try:
                yield parse(obj)
            except Invalid:  # what the manager rejects changes nothing here either
                continue
