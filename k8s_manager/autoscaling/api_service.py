"""Who serves the external metrics of a cluster: one APIService, of which there can be only one. Pure."""

from dataclasses import dataclass

from istio_templates import names
from istio_templates.facts import Manifest, ObjectKey
from k8s_manager.kube.shapes import mapping_of, mappings_of

GROUP, VERSION = "external.metrics.k8s.io", "v1beta1"
GROUP_VERSION = f"{GROUP}/{VERSION}"
API_SERVICE = ObjectKey("APIService", "", f"{VERSION}.{GROUP}")
SERVICE_PORT = 443
"""The port of the manager's Service behind which external metrics are."""
INSTEAD = "set writer: keda or tidegate, or remove what holds it"
"""What to do where another owner has the external metrics."""


@dataclass(frozen=True, slots=True)
class ApiServiceState:
    """Who holds the external metrics: `holder` is the Service (`namespace/name`) behind the APIService, empty where
    there is none. `is_ours` tells whether that is the manager's, `problem` why the API server does not reach it."""

    holder: str = ""
    is_ours: bool = False
    problem: str = ""

    @property
    def may_be_written(self) -> bool:
        """Whether the manager may write the APIService: no other owner has one."""
        return self.is_ours or not self.holder


def api_service_state(live: Manifest | None, service: tuple[str, str]) -> ApiServiceState:
    """Return who holds the external metrics by the live APIService; `service` is the manager's (namespace, name)."""
    if live is None:
        return ApiServiceState()
    found = mapping_of(mapping_of(live.get("spec")).get("service"))
    holder = f"{found.get('namespace')}/{found.get('name')}" if found else "the API server itself"
    return ApiServiceState(holder, names.is_marked(live) and holder == "/".join(service), _problem(live))


def desired_api_service(service: tuple[str, str], authorities: str) -> Manifest:
    """Return the manager's APIService; `authorities` are in Base64."""
    namespace, name = service
    spec = {
        "group": GROUP,
        "version": VERSION,
        "service": {"namespace": namespace, "name": name, "port": SERVICE_PORT},
        "caBundle": authorities,
        "groupPriorityMinimum": 100,
        "versionPriority": 100,
    }
    head = names.manifest("apiregistration.k8s.io/v1", "APIService", API_SERVICE.name, "", {})
    head["metadata"]["labels"] = {names.MANAGED_BY: names.MANAGER, "app.kubernetes.io/part-of": "tidegate"}
    return {**head, "spec": spec}


def _problem(live: Manifest) -> str:
    """Return why the API server does not reach what serves the API; empty where it does."""
    for condition in mappings_of(mapping_of(live.get("status")).get("conditions")):
        if condition.get("type") == "Available":
            return "" if condition.get("status") == "True" else str(condition.get("message") or condition.get("reason"))
    return "the API server has not asked it yet"
