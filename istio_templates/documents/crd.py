"""CustomResourceDefinitions, generated from the document types."""

from collections.abc import Mapping
from typing import Any

from istio_templates.documents.fields import HOST_MAX, MOST_ITEMS, TEXT_MAX
from istio_templates.documents.parse import NAMESPACED, SPECS
from istio_templates.documents.warmup import PLAN_BYTES
from istio_templates.text.json_values import MOST_VALUES

GROUP = "tidegate.dev"
_LONGEST = {"host": HOST_MAX, "domain": HOST_MAX, "hosts": HOST_MAX, "text": PLAN_BYTES}
"""Characters of texts that are shorter or longer than others, by their fields."""
VERSION = "v1alpha1"
_KEEP = ("type", "pattern", "maxLength", "minLength", "minimum", "maximum", "enum", "format", "minItems", "maxItems",
         "minProperties", "maxProperties", "description", "default", "nullable", "x-kubernetes-list-type",
         "x-kubernetes-list-map-keys", "x-kubernetes-validations", "x-kubernetes-preserve-unknown-fields")  # fmt: skip
_COLUMNS: dict[str, list[tuple[str, str, str]]] = {
    "InferenceGateway": [
        ("Namespace", "string", ".spec.namespace"),
        ("Pods", "integer", ".status.pods.total"),
        ("Ready", "integer", ".status.pods.ready"),
    ],
    "Tenant": [
        ("Namespace", "string", ".status.namespace"),
        ("Gateway", "string", ".status.gateway"),
        ("Accepted", "string", '.status.conditions[?(@.type=="Accepted")].status'),
    ],
    "Model": [
        ("Limit", "string", ".status.limit.total"),
        ("Ready", "string", '.status.conditions[?(@.type=="Ready")].status'),
        ("URL", "string", ".status.url"),
    ],
    "LimitOverride": [
        ("Author", "string", ".spec.author"),
        ("Expires", "string", ".spec.expires"),
        ("Active", "string", '.status.conditions[?(@.type=="Active")].status'),
        ("Models", "integer", ".status.models"),
        ("Reason", "string", ".spec.reason"),
    ],
    "WarmupPlan": [
        ("Protocol", "string", ".spec.target.protocol"),
        ("Timeout", "string", ".spec.timeout"),
        ("Accepted", "string", '.status.conditions[?(@.type=="Accepted")].status'),
    ],
    "AccessGrant": [
        ("Role", "string", ".spec.role"),
        ("Tenants", "string", ".spec.tenants"),
        ("Users", "string", ".spec.users"),
        ("Groups", "string", ".spec.groups"),
    ],
    "ModelVersion": [
        ("Model", "string", ".spec.model"),
        ("Version", "string", ".status.version"),
        ("Aliases", "string", ".spec.aliases"),
        ("Data", "string", ".spec.dataUntil"),
        ("Served", "string", '.status.conditions[?(@.type=="Served")].status'),
        ("Blocked", "string", ".spec.blocked.reason"),
        ("Pinned", "string", ".spec.pinned.by"),
    ],
    "Caller": [
        ("Models", "string", ".spec.models"),
        ("Active", "string", '.status.conditions[?(@.type=="Active")].status'),
        ("Reason", "string", '.status.conditions[?(@.type=="Active")].reason'),
        ("Expires", "string", ".spec.expires"),
    ],
}
_AT_CREATION = {
    "Model": (
        "has(self.spec.attachTo) || self.metadata.name.matches('^[a-z]')",
        "a Service has the name of its Model, which begins with a letter",
    ),
    "InferenceGateway": (
        "!has(self.spec.managed) || self.metadata.name.matches('^[a-z]')",
        "the Service of a managed gateway has its name, which begins with a letter",
    ),
}
"""What the API server asks of new documents: names, which never change, in the Common Expression Language."""
PLURALS: Mapping[str, str] = {
    "InferenceGateway": "inferencegateways",
    "Tenant": "tenants",
    "Model": "models",
    "LimitOverride": "limitoverrides",
    "WarmupPlan": "warmupplans",
    "AccessGrant": "accessgrants",
    "ModelVersion": "modelversions",
    "Caller": "callers",
}
SHORT_NAMES: Mapping[str, str] = {
    "InferenceGateway": "igw",
    "Tenant": "tnt",
    "Model": "mdl",
    "LimitOverride": "lor",
    "WarmupPlan": "wup",
    "AccessGrant": "agr",
    "ModelVersion": "mdv",
    "Caller": "clr",
}
"""What kubectl and the command line take for a kind, besides its singular and plural."""
_AGE = ("Age", "date", ".metadata.creationTimestamp")
_CONDITION = {
    "type": "object",
    "required": ["type", "status", "reason", "message", "lastTransitionTime"],
    "properties": {
        "type": {"type": "string"},
        "status": {"type": "string", "enum": ["True", "False", "Unknown"]},
        "reason": {"type": "string"},
        "message": {"type": "string"},
        "lastTransitionTime": {"type": "string", "format": "date-time"},
        "observedGeneration": {"type": "integer", "format": "int64"},
    },
}


def crds() -> list[dict[str, Any]]:
    """Return one CustomResourceDefinition per document kind."""
    return [_crd(kind, _bounded(spec_schema(kind))) for kind in SPECS]


def spec_schema(kind: str) -> dict[str, Any]:
    """Return the structural schema of a kind's spec, with the bounds that its fields declare."""
    schema = SPECS[kind].model_json_schema(by_alias=True)
    return structural(schema, schema.get("$defs", {}))


def _crd(kind: str, spec: dict[str, Any]) -> dict[str, Any]:
    plural = PLURALS[kind]
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{GROUP}", "labels": {"app.kubernetes.io/part-of": "tidegate"}},
        "spec": {
            "group": GROUP,
            "names": {
                "kind": kind,
                "listKind": f"{kind}List",
                "plural": plural,
                "singular": kind.lower(),
                "shortNames": [SHORT_NAMES[kind]],
            },
            "scope": "Namespaced" if kind in NAMESPACED else "Cluster",
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": [
                        {"name": name, "type": column, "jsonPath": path}
                        for name, column, path in (*_COLUMNS[kind], _AGE)
                    ],
                    "schema": {"openAPIV3Schema": _envelope(kind, spec, (SPECS[kind].__doc__ or kind).strip())},
                }
            ],
        },
    }


def _envelope(kind: str, spec: dict[str, Any], description: str) -> dict[str, Any]:
    rule, message = _AT_CREATION.get(kind, ("", ""))
    checked = {"rule": f"oldSelf.hasValue() || {rule}", "message": message, "optionalOldSelf": True}
    return {
        **({"x-kubernetes-validations": [checked]} if rule else {}),
        "type": "object",
        "description": description,
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object"},
            "spec": spec,
            "status": {
                "type": "object",
                "x-kubernetes-preserve-unknown-fields": True,
                "properties": {
                    "conditions": {
                        "type": "array",
                        "items": _CONDITION,
                        "x-kubernetes-list-type": "map",
                        "x-kubernetes-list-map-keys": ["type"],
                    }
                },
            },
        },
    }


def _bounded(schema: dict[str, Any], name: str = "") -> dict[str, Any]:
    """Return a schema in which every text, list and mapping has an end, also for those who write with kubectl."""
    out = dict(schema)
    if schema.get("type") == "string" and "enum" not in schema:
        out.setdefault("maxLength", _LONGEST.get(name, TEXT_MAX))
    if "items" in schema:
        out["items"] = _bounded(schema["items"], name)
        out.setdefault("maxItems", MOST_ITEMS if _is_typed(schema["items"]) else MOST_VALUES)
    if "properties" in schema:
        out["properties"] = {field: _bounded(inner, field) for field, inner in schema["properties"].items()}
    if isinstance(schema.get("additionalProperties"), dict):
        out["additionalProperties"] = _bounded(schema["additionalProperties"], name)
        out.setdefault("maxProperties", MOST_ITEMS)
    return out


def _is_typed(schema: dict[str, Any]) -> bool:
    return "type" in schema or "enum" in schema


def structural(schema: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """Return a structural schema: references inlined, optional values unwrapped, no defaults.

    Defaults stay out on purpose: a default that is stored can never be improved by a later release.
    """
    if "$ref" in schema:
        return structural(definitions[schema["$ref"].rsplit("/", 1)[1]], definitions)
    if "anyOf" in schema:
        (inner,) = [option for option in schema["anyOf"] if option.get("type") != "null"]
        return structural(inner, definitions)
    out = {key: schema[key] for key in _KEEP if key in schema and key != "default"}
    if "const" in schema:
        out["enum"] = [schema["const"]]
    if "properties" in schema:
        out["properties"] = {name: structural(inner, definitions) for name, inner in schema["properties"].items()}
        if schema.get("required"):
            out["required"] = schema["required"]
    elif schema.get("type") == "object":
        values = schema.get("additionalProperties")
        if isinstance(values, dict):
            out["additionalProperties"] = structural(values, definitions)
        else:
            out["x-kubernetes-preserve-unknown-fields"] = True
    if "items" in schema:
        out["items"] = structural(schema["items"], definitions)
    if "type" not in out and "enum" not in out:
        out["x-kubernetes-preserve-unknown-fields"] = True  # any JSON
    return out
