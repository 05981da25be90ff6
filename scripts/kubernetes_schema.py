"""Make istio_templates/schemas/kubernetes-VERSION.json from the OpenAPI document of an API server.

    kubectl get --raw /openapi/v3/api/v1 > v1.json
    python -m scripts.kubernetes_schema VERSION v1.json

Kept is what a PodTemplateSpec consists of (kubernetes/kubernetes, Apache-2.0): the types of its fields and the keys of
its lists, without descriptions.
"""

import json
import sys
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent.parent / "istio_templates" / "schemas"
ROOT = "io.k8s.api.core.v1.PodTemplateSpec"
_KEPT = ("type", "format", "enum", "x-kubernetes-list-map-keys")


def short(name: str) -> str:
    """Return the last part of a definition's name or reference."""
    return name.rpartition(".")[2]


def field(schema: dict[str, Any], found: set[str]) -> dict[str, Any]:
    """Return the type of one field; definitions that it refers to are added to `found`."""
    for inner in schema.get("allOf", [schema]):
        if "$ref" in inner:
            name = inner["$ref"].rpartition("/")[2]
            found.add(name)
            return {"ref": short(name)}
    out = {key.removeprefix("x-kubernetes-"): schema[key] for key in _KEPT if key in schema}
    if schema.get("x-kubernetes-list-type") == "set":
        out["list-map-keys"] = []
    for key, where in (("items", "items"), ("additionalProperties", "values")):
        if isinstance(schema.get(key), dict):
            out[where] = field(schema[key], found)
    return out


def definition(schema: dict[str, Any], found: set[str]) -> dict[str, Any]:
    """Return one definition: the types of its fields, or its own."""
    if "oneOf" in schema:
        return {"type": schema.get("format") or "quantity"}
    if "properties" not in schema:
        return field(schema, found)
    fields = {name: field(inner, found) for name, inner in schema["properties"].items()}
    return {"properties": fields, "required": schema.get("required", [])}


def main(version: str, source: str) -> None:
    """Write the file of one Kubernetes version."""
    every = json.loads(Path(source).read_text())["components"]["schemas"]
    out: dict[str, Any] = {}
    todo = {ROOT}
    while todo:
        name = todo.pop()
        found: set[str] = set()
        out[short(name)] = definition(every[name], found)
        todo |= {other for other in found if short(other) not in out}
    (FOLDER / f"kubernetes-{version}.json").write_text(json.dumps(out, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
