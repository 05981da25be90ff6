"""Check rendered objects against Istio's schema. Unknown fields are rejected, which the API server only warns about."""

import json
from functools import cache
from importlib import resources
from typing import Any

import jsonschema_rs

from istio_templates.errors import Problem
from istio_templates.facts import Manifest

VERSIONS = ("1.30", "1.31")


def istio_crds(version: str = VERSIONS[-1]) -> list[Manifest]:
    """Return the CustomResourceDefinitions of an Istio version, reduced to what is rendered."""
    text = resources.files("istio_templates").joinpath("schemas", f"istio-{version}.json").read_text()
    crds: list[Manifest] = json.loads(text)
    return crds


def problems(obj: Manifest, version: str = VERSIONS[-1]) -> list[Problem]:
    """Return what an Istio version's schema has against an object; kinds that are not Istio's are not checked."""
    validator = _validators(version).get(obj["kind"])
    if validator is None:
        return []
    return [Problem(".".join(map(str, error.instance_path)), error.message) for error in validator.iter_errors(obj)]


@cache
def _validators(version: str) -> dict[str, Any]:
    return {
        crd["spec"]["names"]["kind"]: jsonschema_rs.validator_for(
            _closed(crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"], top=True)
        )
        for crd in istio_crds(version)
    }


def _closed(schema: Any, top: bool = False) -> Any:
    """Return a schema that refuses unknown fields wherever it names the known ones."""
    if isinstance(schema, list):
        return [_closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    out = {key: _closed(value) for key, value in schema.items() if not key.startswith("x-kubernetes")}
    if schema.get("x-kubernetes-int-or-string"):
        out.pop("type", None)
    open_ended = schema.get("x-kubernetes-preserve-unknown-fields") or top
    if "properties" in schema and schema.get("type") == "object" and not open_ended:
        out["additionalProperties"] = False
    return out
