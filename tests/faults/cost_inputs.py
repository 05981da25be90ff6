"""Inputs that cost more than their size, for every field of every document and every endpoint that takes a body.

The lists come from the schemas and from the API's own description, so that a field or an endpoint that is added is
tried without being named here.
"""

import json
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from istio_templates.documents.crd import crds
from tests.support.documents import gateway, model, tenant

PLAN = {
    "target": {"protocol": "oip-rest", "port": 8080},
    "cases": [{"name": "one", "inputs": {"x": {"dtype": "FP32", "shape": [-1, 4]}}}],
    "success": {"latency": {"max": "1s"}},
}
EXPIRES = "2099-01-01T00:00:00Z"
DOCUMENTS: dict[str, dict[str, Any]] = {
    "InferenceGateway": gateway(),
    "Tenant": tenant(),
    "Model": model(),
    "LimitOverride": {
        "apiVersion": "tidegate.dev/v1alpha1",
        "kind": "LimitOverride",
        "metadata": {"name": "more", "namespace": "search"},
        "spec": {"author": "anna", "reason": "a test", "expires": EXPIRES, "target": {"everything": True}, "total": 5},
    },
    "WarmupPlan": {
        "apiVersion": "tidegate.dev/v1alpha1",
        "kind": "WarmupPlan",
        "metadata": {"name": "warm", "namespace": "search"},
        "spec": PLAN,
    },
    "AccessGrant": {
        "apiVersion": "tidegate.dev/v1alpha1",
        "kind": "AccessGrant",
        "metadata": {"name": "readers"},
        "spec": {"role": "viewer", "users": ["anna"]},
    },
    "ModelVersion": {
        "apiVersion": "tidegate.dev/v1alpha1",
        "kind": "ModelVersion",
        "metadata": {"name": "ranker-v9", "namespace": "search"},
        "spec": {"model": "ranker", "uri": "s3://models/ranker/9"},
    },
    "Caller": {
        "apiVersion": "tidegate.dev/v1alpha1",
        "kind": "Caller",
        "metadata": {"name": "app1", "namespace": "search"},
        "spec": {"models": ["ranker"], "revokedTokens": [{"id": "t1", "expires": "2999-01-01T00:00:00Z"}]},
    },
}
"""A document of each kind that is right."""
Path = tuple[str, ...]


@dataclass(frozen=True)
class Flood:
    """One value that is sent in place of another."""

    name: str
    value: Any


def floods(size: int) -> Iterator[Flood]:
    """Yield values of about `size` bytes."""
    yield Flood("durations", "0s" * (size // 2))
    yield Flood("digits", "3e" + "9" * size)
    yield Flood("a text", "é" * (size // 2))
    yield Flood("a pattern", "(a|b)*" * (size // 6))
    yield Flood("numbers", [1] * (size // 2))
    yield Flood("texts", ["a"] * (size // 4))
    yield Flood("fields", {f"f{number}": 1 for number in range(size // 10)})
    yield Flood("mappings", [{"name": f"n{number}"} for number in range(size // 18)])


def fields(kind: str) -> Iterator[Path]:
    """Yield the path of every field in the schema of a kind's spec; a list's elements are `[]`."""
    crd = next(crd for crd in crds() if crd["spec"]["names"]["kind"] == kind)
    yield from _below(crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"], ("spec",))


def flooded(kind: str, path: Path, value: Any) -> dict[str, Any]:
    """Return a document with a value at a path; what leads to it and is not there is made."""
    document = deepcopy(DOCUMENTS[kind])
    at: Any = document
    for part, following in pairwise(path):
        found = at.get(part) if isinstance(at, dict) else (at[0] if at else None)
        if not isinstance(found, list if following == "[]" else dict):
            found = [] if following == "[]" else {}
            _set(at, part, found)
        at = found
    _set(at, path[-1], value)
    return document


def _set(at: Any, part: str, value: Any) -> None:
    if isinstance(at, dict):
        at[part] = value
    else:
        at[:] = [value, *at[1:]]


def _below(schema: dict[str, Any], path: Path) -> Iterator[Path]:
    for name, inner in schema.get("properties", {}).items():
        yield (*path, name)
        yield from _below(inner, (*path, name))
    if "items" in schema:
        yield (*path, "[]")
        yield from _below(schema["items"], (*path, "[]"))


def endpoints(description: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield method and path of every endpoint that takes a body."""
    for path, operations in sorted(description["paths"].items()):
        for method, operation in sorted(operations.items()):
            if isinstance(operation, dict) and "requestBody" in operation:
                yield method.upper(), path


def bodies(size: int) -> Iterator[tuple[str, str, str]]:
    """Yield floods of a body as a whole: a name, its content type, its text."""
    as_json, as_yaml = "application/json", "application/yaml"
    yield "unknown fields", as_json, json.dumps({f"f{number}": 1 for number in range(size // 14)})
    yield "a key twice, at the end", as_json, _twice(size // 14)
    yield "values", as_json, json.dumps({"spec": {"a": [0] * (size // 3)}, "documents": [], "trace": []})
    yield "depth", as_json, '{"spec":' * 900 + "1" + "}" * 900
    yield "depth of lists", as_yaml, "spec: " + "[" * (size // 2)
    yield "documents", as_yaml, "---\na: 1\n" * (size // 9)
    yield "documents of JSON", as_yaml, "{}" * (size // 2)
    yield "anchors", as_yaml, "a: &a x\n" * (size // 8)
    yield "lines", as_yaml, "".join(f"f{number}: 1\n" for number in range(size // 10))


def _twice(count: int) -> str:
    keys = [f'"f{number}": 1' for number in range(count)]
    return "{" + ", ".join([*keys, keys[-1]]) + "}"
