"""What the OpenAPI document says beyond what the framework finds out: bodies and problems."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from istio_templates.documents.crd import crds, structural
from k8s_manager.authz.endpoints import NEEDS, Scope
from k8s_manager.client import MOST_TOGETHER
from ratelimiter.simulation.scenario import Scenario

_PROBLEM = {
    "type": "object",
    "required": ["type", "title", "status", "detail", "problems", "requestId"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "requestId": {"type": "string", "description": "Also in the header X-Request-Id, the audit trail and the log."},
        "problems": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["field", "message"],
                "properties": {"field": {"type": "string"}, "message": {"type": "string"}},
            },
        },
    },
}
_BEARER = {
    "type": "http",
    "scheme": "bearer",
    "description": "A JWT of the configured issuer, a Kubernetes token, a static token, or the manager's own.",
}
_DESCRIPTIONS = {
    400: "Broken syntax.",
    401: "No identity.",
    403: "The caller lacks the right.",
    404: "Not there, or not the caller's to see.",
    409: "A claim that somebody else holds, or something in use.",
    412: "Changed since it was read.",
    413: "A body over 1 MiB.",
    422: "Wrong fields, each with its path and the remedy.",
    428: "An overwrite that does not say of which version (If-Match).",
    429: "More calls than one caller may make.",
    503: "Not ready yet; try again.",
}
RESPONSES: dict[int | str, dict[str, Any]] = {
    status: {
        "description": text,
        "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
    for status, text in _DESCRIPTIONS.items()
}


MADE: dict[int | str, dict[str, Any]] = {201: {"description": "It was not there, and has been made."}}
GOING: dict[int | str, dict[str, Any]] = {202: {"description": "It is being deleted."}}


def _body(schema: dict[str, Any]) -> dict[str, Any]:
    content = {kind: {"schema": schema} for kind in ("application/json", "application/yaml")}
    return {"requestBody": {"required": True, "content": content}}


def _document(crd: dict[str, Any]) -> dict[str, Any]:
    schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    properties = {name: schema["properties"][name] for name in ("apiVersion", "kind", "metadata", "spec")}
    return {"type": "object", "required": ["spec"], "properties": properties}


_SCENARIO = Scenario.model_json_schema(by_alias=True)
_SETTINGS = structural(_SCENARIO, _SCENARIO["$defs"])
_ROW = {
    "type": "object",
    "required": ["time", "requests"],
    "properties": {"time": {"type": "number", "minimum": 0}, "requests": {"type": "integer", "minimum": 0}},
}
BODIES: dict[str, dict[str, Any]] = {
    **{crd["spec"]["names"]["kind"]: _body(_document(crd)) for crd in crds()},
    "patch": _body({"type": "object", "properties": {"spec": {"type": "object"}}}),
    "scale": _body(
        {"type": "object", "required": ["replicas"], "properties": {"replicas": {"type": "integer", "minimum": 0}}}
    ),
    "traffic": _body(
        {
            "type": "object",
            "required": ["traffic"],
            "properties": {
                "traffic": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "required": ["version", "weight"],
                        "properties": {
                            "version": {"type": "string"},
                            "weight": {"type": "integer", "minimum": 0, "maximum": 100},
                        },
                    },
                }
            },
        }
    ),
    "claim": _body(
        {
            "type": "object",
            "required": ["tenant"],
            "additionalProperties": False,
            "properties": {"tenant": {"type": "string"}, "from": {"type": "string"}},
        }
    ),
    "rollback": _body(
        {
            "type": "object",
            "required": ["revision"],
            "properties": {
                "revision": {"type": "integer", "minimum": 1},
                "reason": {"type": "string"},
                "ticket": {"type": "string"},
            },
        }
    ),
    "measurement": _body(
        {
            "type": "object",
            "required": ["holder", "seconds"],
            "properties": {
                "holder": {"type": "string", "minLength": 8, "maxLength": 64, "pattern": "^[A-Za-z0-9]+$"},
                "seconds": {"type": "integer", "minimum": 0, "maximum": 60, "description": "0 gives it back."},
            },
        }
    ),
    "override": _body(
        {
            "type": "object",
            "required": ["reason", "ttl"],
            "properties": {
                "perReplicaQps": {"type": "number"},
                "total": {"type": "number"},
                "mode": {"type": "string", "enum": ["off", "enforce"]},
                "action": {"type": "string", "enum": ["freeze", "unlimited", "floor"]},
                "reason": {"type": "string"},
                "ttl": {"type": "string", "description": "How long it holds, such as 2h."},
                "author": {"type": "string"},
            },
        }
    ),
    "documents": _body(
        {
            "type": "object",
            "required": ["documents"],
            "additionalProperties": False,
            "properties": {
                "documents": {
                    "type": "array",
                    "minItems": 1,
                    "maxItems": MOST_TOGETHER,
                    "items": {
                        "type": "object",
                        "required": ["apiVersion", "kind", "metadata", "spec"],
                        "properties": {
                            "apiVersion": {"type": "string"},
                            "kind": {"type": "string"},
                            "metadata": {"type": "object"},
                            "spec": {"type": "object"},
                        },
                    },
                }
            },
        }
    ),
    "simulate": _body(
        {
            "type": "object",
            "required": ["settings", "trace"],
            "properties": {"settings": _SETTINGS, "trace": {"type": "array", "items": _ROW}},
        }
    ),
}


def describe(app: FastAPI) -> dict[str, Any]:
    """Return the OpenAPI document; path parameters come from the path, whoever reads them."""
    if app.openapi_schema is None:
        document = get_openapi(title=app.title, version=app.version, routes=app.routes)
        components = document.setdefault("components", {})
        components.setdefault("schemas", {})["Problem"] = _PROBLEM
        components["securitySchemes"] = {"bearer": _BEARER}
        for path, operations in document["paths"].items():
            for method, operation in operations.items():
                _complete(path, operation)
                if NEEDS[method.upper(), path].place is not Scope.OPEN:
                    operation["security"] = [{"bearer": []}]
        app.openapi_schema = document
    return app.openapi_schema


def _complete(path: str, operation: dict[str, Any]) -> None:
    given = {parameter["name"] for parameter in operation.get("parameters", [])}
    for part in path.split("/"):
        if part.startswith("{") and part[1:-1] not in given:
            parameter = {"name": part[1:-1], "in": "path", "required": True, "schema": {"type": "string"}}
            operation.setdefault("parameters", []).append(parameter)
