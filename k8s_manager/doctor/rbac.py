"""Rights of the manager in the cluster: the list from which its ClusterRole is generated and which `doctor` checks."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from istio_templates.facts import Manifest
from k8s_manager.autoscaling.api_service import API_SERVICE
from k8s_manager.world.installation import CALLER_KEYS, LABELS, SYSTEM

ACCOUNT = "tidegate"
GATEWAY_ROLE = "tidegate-gateway"
CERTIFICATE = f"{ACCOUNT}-external-metrics"
"""The Secret with the certificate of external metrics."""
_FOLLOW = ("list", "watch")
_OWN = ("get", *_FOLLOW, "create", "patch", "delete")


@dataclass(frozen=True, slots=True)
class RbacRule:
    """Verbs on resources of one API group, and their purpose (`for_`); `only` names the objects they are limited to."""

    for_: str
    group: str
    resources: tuple[str, ...]
    verbs: tuple[str, ...]
    only: tuple[str, ...] = ()

    def rule(self) -> Manifest:
        """Return the right as a rule of a role."""
        rule: Manifest = {"apiGroups": [self.group], "resources": [*self.resources], "verbs": [*self.verbs]}
        return {**rule, "resourceNames": [*self.only]} if self.only else rule

    def questions(self) -> Iterator[Manifest]:
        """Yield the resource attributes of an access review for each verb of each resource."""
        for resource in self.resources:
            name, _, subresource = resource.partition("/")
            for verb in self.verbs:
                asked = {"group": self.group, "resource": name, "subresource": subresource, "verb": verb}
                yield {**asked, "name": self.only[0]} if self.only else asked


RIGHTS = (
    RbacRule(
        "documents",
        "tidegate.dev",
        ("inferencegateways", "tenants", "models"),
        (*_OWN, "update"),
    ),
    RbacRule(
        "documents of which nothing is made",
        "tidegate.dev",
        ("limitoverrides", "accessgrants", "modelversions", "callers"),
        ("get", *_FOLLOW, "create", "update", "delete"),
    ),
    RbacRule("plans that people write", "tidegate.dev", ("warmupplans",), ("get", *_FOLLOW)),
    RbacRule(
        "their statuses",
        "tidegate.dev",
        (
            "inferencegateways/status",
            "tenants/status",
            "models/status",
            "limitoverrides/status",
            "warmupplans/status",
            "accessgrants/status",
            "modelversions/status",
            "callers/status",
        ),
        ("patch",),
    ),
    RbacRule("tenants' namespaces", "", ("namespaces",), _OWN),
    RbacRule("replicas and gateway pods", "", ("pods",), _FOLLOW),
    RbacRule("the logs of replicas", "", ("pods/log",), ("get",)),
    RbacRule("what replicas use", "metrics.k8s.io", ("pods",), ("list",)),
    RbacRule("the warm-up of replicas", "", ("pods/status",), ("patch",)),
    RbacRule("replicas that are to restart", "", ("pods",), ("delete",)),
    RbacRule("whether a certificate is there", "", ("secrets",), _FOLLOW),
    RbacRule("workloads", "", ("services", "serviceaccounts", "configmaps"), _OWN),
    RbacRule("workloads", "apps", ("deployments",), _OWN),
    RbacRule("workloads", "policy", ("poddisruptionbudgets",), _OWN),
    RbacRule("the replicas of versions with autoscale", "apps", ("deployments/scale",), ("patch",)),
    RbacRule("quotas that bound replicas", "", ("resourcequotas",), ("list",)),
    RbacRule("workloads", "autoscaling", ("horizontalpodautoscalers",), _OWN),
    RbacRule("replicas that KEDA writes", "keda.sh", ("scaledobjects",), _OWN),
    RbacRule("the API of external metrics", "apiregistration.k8s.io", ("apiservices",), ("create",)),
    RbacRule(
        "the API of external metrics", "apiregistration.k8s.io", ("apiservices",), ("get", "patch"), (API_SERVICE.name,)
    ),
    RbacRule("who reads external metrics", "authorization.k8s.io", ("subjectaccessreviews",), ("create",)),
    RbacRule("isolation", "networking.k8s.io", ("networkpolicies",), _OWN),
    RbacRule("the rights of gateway pods", "rbac.authorization.k8s.io", ("rolebindings",), _OWN),
    RbacRule("the rights of gateway pods", "rbac.authorization.k8s.io", ("clusterroles",), ("bind",), (GATEWAY_ROLE,)),
    RbacRule(
        "routes", "networking.istio.io", ("gateways", "virtualservices", "destinationrules", "envoyfilters"), _OWN
    ),
    RbacRule("the traces of gateways", "telemetry.istio.io", ("telemetries",), _OWN),
    RbacRule(
        "routes that models limit", "gateway.networking.k8s.io", ("gateways", "httproutes", "grpcroutes"), _FOLLOW
    ),
    RbacRule("checks of releases", "batch", ("jobs",), ("create", "delete")),
    RbacRule("who a caller of the REST API is", "authentication.k8s.io", ("tokenreviews",), ("create",)),
    RbacRule("the history of documents", "apps", ("controllerrevisions",), ("list", "create", "patch", "delete")),
    RbacRule("events for people", "", ("events",), ("create",)),
    RbacRule("whether a namespace is empty", "", ("persistentvolumeclaims",), ("list",)),
    RbacRule("whether a namespace is empty", "apps", ("statefulsets", "daemonsets"), ("list",)),
    RbacRule("whether a namespace is empty", "batch", ("jobs", "cronjobs"), ("list",)),
    RbacRule("whether a namespace is empty", "networking.k8s.io", ("ingresses",), ("list",)),
    RbacRule("whether a namespace is empty", "rbac.authorization.k8s.io", ("roles",), ("list",)),
)
"""In the whole cluster."""

OWN_RIGHTS = (
    RbacRule("the leader's Lease", "coordination.k8s.io", ("leases",), ("get", "create", "update")),
    RbacRule("the token of the REST API", "", ("secrets",), ("get", "create")),
    RbacRule("the certificate of external metrics", "", ("secrets",), ("update",), (CERTIFICATE,)),
    RbacRule("the keys of callers' tokens", "", ("secrets",), ("update",), (CALLER_KEYS.name,)),
)
"""In the manager's own namespace."""

READER, READER_NAMESPACE = "extension-apiserver-authentication-reader", "kube-system"
"""Kubernetes' own Role for those who serve an API behind the API server: how that proves itself."""
COLLECTOR = "tidegate-collector"
COLLECTOR_RIGHTS = (
    RbacRule("gateways, and whose each route is", "tidegate.dev", ("inferencegateways", "tenants", "models"), _FOLLOW),
    RbacRule("gateway pods", "", ("pods",), _FOLLOW),
    RbacRule("their access logs", "", ("pods/log",), ("get",)),
    RbacRule("who reads rows", "authentication.k8s.io", ("tokenreviews",), ("create",)),
)
COLLECTOR_OWN_RIGHTS = (
    RbacRule("which collectors there are", "coordination.k8s.io", ("leases",), ("list", "create", "patch", "delete")),
)


def roles() -> list[Manifest]:
    """Return the roles and bindings of the manager's account."""
    subject = [{"kind": "ServiceAccount", "name": ACCOUNT, "namespace": SYSTEM}]
    reads = {"roleRef": _ref("Role", READER), "subjects": subject}
    return [
        *_roles(ACCOUNT, RIGHTS, OWN_RIGHTS),
        _rbac("RoleBinding", f"{ACCOUNT}-authentication-reader", reads, READER_NAMESPACE),
    ]


def collector_roles() -> list[Manifest]:
    """Return the roles and bindings of the collectors' account."""
    return _roles(COLLECTOR, COLLECTOR_RIGHTS, COLLECTOR_OWN_RIGHTS)


def _roles(account: str, rights: Sequence[RbacRule], own: Sequence[RbacRule]) -> list[Manifest]:
    subject = [{"kind": "ServiceAccount", "name": account, "namespace": SYSTEM}]
    return [
        _rbac("ClusterRole", account, {"rules": [right.rule() for right in rights]}),
        _rbac("ClusterRoleBinding", account, {"roleRef": _ref("ClusterRole", account), "subjects": subject}),
        _rbac("Role", account, {"rules": [right.rule() for right in own]}, SYSTEM),
        _rbac("RoleBinding", account, {"roleRef": _ref("Role", account), "subjects": subject}, SYSTEM),
    ]


def _ref(kind: str, account: str) -> Manifest:
    return {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": account}


def _rbac(kind: str, name: str, body: Manifest, namespace: str = "") -> Manifest:
    metadata = {"name": name, **({"namespace": namespace} if namespace else {}), "labels": LABELS}
    return {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, "metadata": metadata, **body}
