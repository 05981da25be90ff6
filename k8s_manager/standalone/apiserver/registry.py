"""Which kinds there are: the built-in ones that are used here, and whatever CRDs add."""

from dataclasses import dataclass, field
from typing import Any

import jsonschema_rs

from k8s_manager.standalone.apiserver.errors import ApiError
from k8s_manager.standalone.apiserver.paths import Shape, shape_of

METRICS = "metrics.k8s.io/v1beta1"
_BUILT_IN = [
    ("v1", "Namespace", "namespaces", False),
    ("v1", "Pod", "pods", True),
    ("v1", "Secret", "secrets", True),
    ("v1", "Service", "services", True),
    ("v1", "ServiceAccount", "serviceaccounts", True),
    ("v1", "ConfigMap", "configmaps", True),
    ("apps/v1", "ControllerRevision", "controllerrevisions", True),
    ("v1", "Event", "events", True),
    ("v1", "Node", "nodes", False),
    ("v1", "PersistentVolumeClaim", "persistentvolumeclaims", True),
    ("v1", "ResourceQuota", "resourcequotas", True),
    ("apps/v1", "Deployment", "deployments", True),
    ("apps/v1", "StatefulSet", "statefulsets", True),
    ("apps/v1", "ControllerRevision", "controllerrevisions", True),
    ("policy/v1", "PodDisruptionBudget", "poddisruptionbudgets", True),
    ("autoscaling/v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers", True),
    ("networking.k8s.io/v1", "NetworkPolicy", "networkpolicies", True),
    ("discovery.k8s.io/v1", "EndpointSlice", "endpointslices", True),
    ("coordination.k8s.io/v1", "Lease", "leases", True),
    ("rbac.authorization.k8s.io/v1", "RoleBinding", "rolebindings", True),
    ("rbac.authorization.k8s.io/v1", "ClusterRole", "clusterroles", False),
    (METRICS, "PodMetrics", "pods", True),
    ("apiregistration.k8s.io/v1", "APIService", "apiservices", False),
    ("apiextensions.k8s.io/v1", "CustomResourceDefinition", "customresourcedefinitions", False),
]
_WITH_STATUS = {"Namespace", "Pod", "Service", "Deployment", "HorizontalPodAutoscaler", "PodDisruptionBudget",
                "ResourceQuota", "CustomResourceDefinition", "Node", "APIService"}  # fmt: skip


@dataclass(slots=True)
class Kind:
    """One kind: its API path, the merge keys of its lists, its schema."""

    group_version: str
    kind: str
    plural: str
    namespaced: bool
    has_status: bool
    shape: Shape
    schema: dict[str, Any] | None = None
    validator: Any = field(default=None, repr=False)

    @property
    def is_custom(self) -> bool:
        """Whether a CRD brought it."""
        return self.schema is not None

    @property
    def is_measured(self) -> bool:
        """Whether its objects are measured and not stored: they can only be read."""
        return self.group_version == METRICS

    def check(self, obj: dict[str, Any]) -> None:
        """Raise 422 where an object does not fit its schema."""
        if self.validator is None:
            return
        causes = [
            {"reason": "FieldValueInvalid", "message": error.message, "field": ".".join(map(str, error.instance_path))}
            for error in self.validator.iter_errors(obj)
        ]
        if causes:
            name = obj.get("metadata", {}).get("name", "")
            said = "; ".join(f"{cause['field']}: {cause['message']}" for cause in causes)
            raise ApiError(422, "Invalid", f'{self.kind} "{name}" is invalid: {said}', causes)

    def pruned(self, obj: dict[str, Any]) -> dict[str, Any]:
        """Return the object without fields that its schema does not know, as Kubernetes stores it."""
        if self.schema is None:
            return obj
        head = {name: obj[name] for name in ("apiVersion", "kind", "metadata") if name in obj}
        return {**_pruned(obj, self.schema), **head}

    def undeclared(self, obj: dict[str, Any]) -> str | None:
        """Return the path of a field that the schema does not know: an apply, unlike other writes, is refused then."""
        if self.schema is None:
            return None
        return _difference(obj, self.pruned(obj), "")


def built_in() -> dict[tuple[str, str], Kind]:
    """Return the built-in kinds by (group/version, plural)."""
    return {
        (version, plural): Kind(version, kind, plural, namespaced, kind in _WITH_STATUS, shape_of(kind))
        for version, kind, plural, namespaced in _BUILT_IN
    }


def custom(crd: dict[str, Any]) -> list[Kind]:
    """Return the kinds that a CRD adds, one per served version."""
    spec = crd["spec"]
    out = []
    for version in spec["versions"]:
        if not version.get("served"):
            continue
        schema = version.get("schema", {}).get("openAPIV3Schema", {"type": "object"})
        checked = {key: value for key, value in schema.items() if key != "properties"}
        checked["properties"] = {
            k: v for k, v in schema.get("properties", {}).items() if k not in ("apiVersion", "kind", "metadata")
        }
        out.append(
            Kind(
                group_version=f"{spec['group']}/{version['name']}",
                kind=spec["names"]["kind"],
                plural=spec["names"]["plural"],
                namespaced=spec["scope"] == "Namespaced",
                has_status="status" in version.get("subresources", {}),
                shape=shape_of(spec["names"]["kind"], schema),
                schema=schema,
                validator=jsonschema_rs.validator_for(_plain(checked)),
            )
        )
    return out


def _plain(schema: Any) -> Any:
    """Return an OpenAPI schema as JSON Schema: `nullable` and `int-or-string` are translated."""
    if isinstance(schema, list):
        return [_plain(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    out = {
        key: _plain(value) for key, value in schema.items() if not key.startswith("x-kubernetes") and key != "nullable"
    }
    if schema.get("x-kubernetes-int-or-string"):
        out["anyOf"] = [{"type": "integer"}, {"type": "string"}]
    if schema.get("nullable") and isinstance(out.get("type"), str):
        out["type"] = [out["type"], "null"]
    return out


def _difference(value: Any, kept: Any, path: str) -> str | None:
    """Return the path of the first field in `value` that is not in `kept`."""
    if value is kept:
        return None
    if isinstance(value, dict) and isinstance(kept, dict):
        missing = next((name for name in value if name not in kept), None)
        if missing is not None:
            return f"{path}.{missing}"
        found = (_difference(inner, kept[name], f"{path}.{name}") for name, inner in value.items())
    elif isinstance(value, list) and isinstance(kept, list):
        found = (_difference(*pair, f"{path}[{i}]") for i, pair in enumerate(zip(value, kept, strict=True)))
    else:
        return None
    return next((path for path in found if path is not None), None)


def _pruned(value: Any, schema: dict[str, Any]) -> Any:
    if schema.get("x-kubernetes-preserve-unknown-fields"):
        return value
    if isinstance(value, dict):
        properties = schema.get("properties")
        if properties is not None:
            return {name: _pruned(inner, properties[name]) for name, inner in value.items() if name in properties}
        inner_schema = schema.get("additionalProperties")
        if isinstance(inner_schema, dict):
            return {name: _pruned(inner, inner_schema) for name, inner in value.items()}
        return value
    if isinstance(value, list) and isinstance(schema.get("items"), dict):
        return [_pruned(item, schema["items"]) for item in value]
    return value
