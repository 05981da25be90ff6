"""What the OpenAPI document says beyond what the framework finds out: bodies and problems."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from istio_templates.documents.crd import spec_schema, structural
from istio_templates.documents.fields import Spec
from istio_templates.documents.parse import SPECS
from k8s_manager.api.schemas.answer import ApiAnswer, ProblemDetails
from k8s_manager.api.schemas.documents import DeletedDocuments
from k8s_manager.authz.endpoints import NEEDS, Scope

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
    409: "A claim that another owner holds, or an object in use.",
    412: "Changed since it was read.",
    413: "A body over 1 MiB.",
    422: "Wrong fields, each with its path and the remedy.",
    428: "An overwrite that does not say of which version (If-Match).",
    429: "More calls than one caller may make.",
    500: "A fault of the manager's; its log has it by the request's id.",
    503: "Not ready yet; try again.",
}
_PROBLEM = structural(schema := ProblemDetails.model_json_schema(by_alias=True), schema["$defs"])
PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {
        "description": text,
        "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
    for status, text in _DESCRIPTIONS.items()
}


def created(model: type[ApiAnswer]) -> dict[int | str, dict[str, Any]]:
    """Return the answer to a write that makes something."""
    return {201: {"description": "It was not there, and has been made.", "model": model}}


def deleting() -> dict[int | str, dict[str, Any]]:
    """Return the answer to a deletion that has begun."""
    return {202: {"description": "It is being deleted.", "model": DeletedDocuments}}


def described(model: type[Spec]) -> dict[str, Any]:
    """Return the description of a body of a type."""
    schema = model.model_json_schema(by_alias=True)
    return _body(structural(schema, schema.get("$defs", {})))


def _body(schema: dict[str, Any]) -> dict[str, Any]:
    content = {kind: {"schema": schema} for kind in ("application/json", "application/yaml")}
    return {"requestBody": {"required": True, "content": content}}


def _document(kind: str) -> dict[str, Any]:
    properties = {"apiVersion": {"type": "string"}, "kind": {"type": "string"}, "metadata": {"type": "object"}}
    return {"type": "object", "required": ["spec"], "properties": {**properties, "spec": spec_schema(kind)}}


BODIES: dict[str, dict[str, Any]] = {
    **{kind: _body(_document(kind)) for kind in SPECS},
    "patch": _body({"type": "object", "properties": {"spec": {"type": "object"}}}),
}


def describe(app: FastAPI) -> dict[str, Any]:
    """Return the OpenAPI document; path parameters come from the path."""
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
