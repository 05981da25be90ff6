"""Where each kind lives in the Kubernetes API."""

from dataclasses import dataclass

from istio_templates.facts import ObjectKey
from istio_templates.workloads.warmup_plan import LABEL


@dataclass(frozen=True, slots=True)
class Resource:
    """A kind, its API path and whether its objects live in namespaces."""

    kind: str
    group_version: str
    plural: str
    namespaced: bool = True

    @property
    def is_custom(self) -> bool:
        """Whether a CRD brings it: an API server then knows no strategic merge of its objects."""
        return self.kind in (*DOCUMENTS, *ISTIO, *GATEWAY_API, "ScaledObject")

    def path(self, namespace: str = "", name: str = "", subresource: str = "") -> str:
        """Return the path of a collection, an object or a subresource; no namespace means all of them."""
        root = f"/api/{self.group_version}" if "/" not in self.group_version else f"/apis/{self.group_version}"
        inside = f"/namespaces/{namespace}" if self.namespaced and namespace else ""
        return "/".join(part for part in (f"{root}{inside}/{self.plural}", name, subresource) if part)


_ALL = (
    Resource("InferenceGateway", "tidegate.dev/v1alpha1", "inferencegateways", namespaced=False),
    Resource("Tenant", "tidegate.dev/v1alpha1", "tenants", namespaced=False),
    Resource("Model", "tidegate.dev/v1alpha1", "models"),
    Resource("LimitOverride", "tidegate.dev/v1alpha1", "limitoverrides"),
    Resource("WarmupPlan", "tidegate.dev/v1alpha1", "warmupplans"),
    Resource("AccessGrant", "tidegate.dev/v1alpha1", "accessgrants", namespaced=False),
    Resource("ModelVersion", "tidegate.dev/v1alpha1", "modelversions"),
    Resource("Caller", "tidegate.dev/v1alpha1", "callers"),
    Resource("Namespace", "v1", "namespaces", namespaced=False),
    Resource("Pod", "v1", "pods"),
    Resource("Secret", "v1", "secrets"),
    Resource("Service", "v1", "services"),
    Resource("ServiceAccount", "v1", "serviceaccounts"),
    Resource("ConfigMap", "v1", "configmaps"),
    Resource("ResourceQuota", "v1", "resourcequotas"),
    Resource("PersistentVolumeClaim", "v1", "persistentvolumeclaims"),
    Resource("TokenReview", "authentication.k8s.io/v1", "tokenreviews", namespaced=False),
    Resource("SubjectAccessReview", "authorization.k8s.io/v1", "subjectaccessreviews", namespaced=False),
    Resource("SelfSubjectAccessReview", "authorization.k8s.io/v1", "selfsubjectaccessreviews", namespaced=False),
    Resource("Lease", "coordination.k8s.io/v1", "leases"),
    Resource("Event", "v1", "events"),
    Resource("ControllerRevision", "apps/v1", "controllerrevisions"),
    Resource("StatefulSet", "apps/v1", "statefulsets"),
    Resource("DaemonSet", "apps/v1", "daemonsets"),
    Resource("Job", "batch/v1", "jobs"),
    Resource("CronJob", "batch/v1", "cronjobs"),
    Resource("Ingress", "networking.k8s.io/v1", "ingresses"),
    Resource("Role", "rbac.authorization.k8s.io/v1", "roles"),
    Resource("Deployment", "apps/v1", "deployments"),
    Resource("PodDisruptionBudget", "policy/v1", "poddisruptionbudgets"),
    Resource("HorizontalPodAutoscaler", "autoscaling/v2", "horizontalpodautoscalers"),
    Resource("NetworkPolicy", "networking.k8s.io/v1", "networkpolicies"),
    Resource("RoleBinding", "rbac.authorization.k8s.io/v1", "rolebindings"),
    Resource("APIService", "apiregistration.k8s.io/v1", "apiservices", namespaced=False),
    Resource("CustomResourceDefinition", "apiextensions.k8s.io/v1", "customresourcedefinitions", namespaced=False),
    Resource("Gateway", "networking.istio.io/v1", "gateways"),
    Resource("VirtualService", "networking.istio.io/v1", "virtualservices"),
    Resource("DestinationRule", "networking.istio.io/v1", "destinationrules"),
    Resource("EnvoyFilter", "networking.istio.io/v1alpha3", "envoyfilters"),
    Resource("Telemetry", "telemetry.istio.io/v1", "telemetries"),
    Resource("ScaledObject", "keda.sh/v1alpha1", "scaledobjects"),
    Resource("KubernetesGateway", "gateway.networking.k8s.io/v1", "gateways"),
    Resource("HTTPRoute", "gateway.networking.k8s.io/v1", "httproutes"),
    Resource("GRPCRoute", "gateway.networking.k8s.io/v1", "grpcroutes"),
)
RESOURCES = {resource.kind: resource for resource in _ALL}
ISTIO = ("Gateway", "VirtualService", "DestinationRule", "EnvoyFilter", "Telemetry")
GATEWAY_API = ("KubernetesGateway", "HTTPRoute", "GRPCRoute")
"""The first is named Gateway like Istio's; this name is Istio's for it."""
OPTIONAL = {
    **dict.fromkeys(GATEWAY_API, "no HTTPRoute is limited"),
    "Telemetry": "no gateway can trace its requests",
    "ScaledObject": "no version can have writer keda",
}
"""Kinds that a cluster need not have, each with what is missing where it may not be read."""
DOCUMENTS = (
    "InferenceGateway", "Tenant", "Model", "LimitOverride", "WarmupPlan", "AccessGrant", "ModelVersion", "Caller",
)  # fmt: skip
OWNED = (
    "Namespace", "InferenceGateway", "ServiceAccount", "ConfigMap", "Service", "Deployment", "PodDisruptionBudget",
    "HorizontalPodAutoscaler", "NetworkPolicy", "RoleBinding", "Gateway", "VirtualService", "DestinationRule",
    "EnvoyFilter", "Telemetry", "ScaledObject",
)  # fmt: skip


def path_of(key: ObjectKey, subresource: str = "") -> str:
    """Return the path of one object."""
    return RESOURCES[key.kind].path(key.namespace, key.name, subresource)


def selector_of(kind: str) -> str:
    """Return which objects of a kind the manager follows: its own only, but for those it must see all of."""
    everything = (*DOCUMENTS, *ISTIO, *GATEWAY_API, "Namespace", "Pod", "Secret", "Service", "HorizontalPodAutoscaler")
    if kind == "ConfigMap":
        return LABEL
    return "" if kind in everything and kind != "Telemetry" else "app.kubernetes.io/managed-by=tidegate"
