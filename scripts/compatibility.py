"""What breaks a client of the REST API: its description as it is, against the one that was promised.

python -m scripts.compatibility [--promise]

With --promise (at a release) what there is now is promised from then on; without, what has been broken since is listed
and the exit code is 1. A client breaks where a call that was right is refused, or where an answer lacks what it had.
"""

import json
import sys
from collections.abc import Iterator
from typing import Any

from scripts.generate import ROOT

Schema = dict[str, Any]
PROMISED = ROOT / "docs" / "openapi.promised.json"
_WORDS = ("description", "title", "summary", "tags", "operationId", "default", "example", "examples")
_METHODS = ("get", "put", "post", "patch", "delete")
_CEILINGS, _FLOORS = ("maximum", "maxLength", "maxItems"), ("minimum", "minLength", "minItems")


def reduced(value: Any, names: bool = False) -> Any:
    """Return a description without its words, which nobody's program reads; `names` are keys that people chose."""
    if isinstance(value, dict):
        kept = {key: inner for key, inner in value.items() if names or key not in _WORDS}
        return {key: reduced(inner, key == "properties" and not names) for key, inner in sorted(kept.items())}
    return [reduced(inner) for inner in value] if isinstance(value, list) else value


_MODEL = "PUT /v1/tenants/{tenant}/models/{name}: body.spec"
NEVER_TAKEN = {
    *(f"{_MODEL}.trafficPolicy.{name}: maximum has become 2147483647" for name in ("maxConnections", "maxPending")),
    f"{_MODEL}.trafficPolicy.maxRequests: maximum has become 2147483647",
    f"{_MODEL}.versions[].workload.env[].name has become required",
}
"""What was promised by mistake: the API server has always refused the object that followed from it."""


def breaking(before: Schema, after: Schema) -> Iterator[str]:
    """Yield what was promised in `before` and no longer holds in `after`."""
    before, after = (resolved(description, description) for description in (before, after))
    for path, operations in before["paths"].items():
        for method in (method for method in _METHODS if method in operations):
            place = f"{method.upper()} {path}"
            now = after["paths"].get(path, {}).get(method)
            if now is None:
                yield f"{place} is gone"
            else:
                yield from (line for line in _operation(place, operations[method], now) if line not in NEVER_TAKEN)


def resolved(value: Any, description: Schema) -> Any:
    """Return a part of a description with every reference replaced by what it names."""
    if isinstance(value, dict):
        if "$ref" in value:
            named = value["$ref"].rsplit("/", 1)[1]
            return resolved(description["components"]["schemas"][named], description)
        return {key: resolved(inner, description) for key, inner in value.items()}
    return [resolved(inner, description) for inner in value] if isinstance(value, list) else value


def _operation(place: str, before: Schema, after: Schema) -> Iterator[str]:
    was, now = _parameters(before), _parameters(after)
    for name, parameter in was.items():
        if name not in now:
            yield f"{place}: parameter {name[1]} is gone"
        else:
            yield from _accepts(f"{place}: parameter {name[1]}", parameter["schema"], now[name]["schema"])
            if now[name].get("required") and not parameter.get("required"):
                yield f"{place}: parameter {name[1]} has become required"
    for name in now.keys() - was.keys():
        if now[name].get("required"):
            yield f"{place}: parameter {name[1]} is new and required"
    yield from _bodies(place, before.get("requestBody"), after.get("requestBody"))
    for status, answer in before["responses"].items():
        if status not in after["responses"]:
            yield f"{place}: no longer answers {status}"
            continue
        for kind, content in answer.get("content", {}).items():
            now = after["responses"][status].get("content", {}).get(kind)
            if now is None:
                yield f"{place}: no longer answers {status} with {kind}"
            else:
                yield from _tells(f"{place}: {status}", content.get("schema", {}), now.get("schema", {}))


def _parameters(operation: Schema) -> dict[tuple[str, str], Schema]:
    return {(parameter["in"], parameter["name"]): parameter for parameter in operation.get("parameters", [])}


def _bodies(place: str, before: Schema | None, after: Schema | None) -> Iterator[str]:
    if after and after.get("required") and not before:
        yield f"{place}: a body has become required"
    for kind, content in (before or {}).get("content", {}).items():
        taken = (after or {}).get("content", {}).get(kind)
        if taken is None:
            yield f"{place}: no longer takes {kind}"
        else:
            yield from _accepts(f"{place}: body", content.get("schema", {}), taken.get("schema", {}))


def _accepts(place: str, before: Schema, after: Schema) -> Iterator[str]:
    """Yield what was taken at a place and is taken no longer."""
    if "anyOf" in before or "anyOf" in after:
        if before != after:
            yield from _alternatives(place, before.get("anyOf", [before]), after.get("anyOf", [after]))
        return
    yield from _narrowed(place, before, after)
    was, now = before.get("properties", {}), after.get("properties", {})
    for name, schema in was.items():
        if name in now:
            yield from _accepts(f"{place}.{name}", schema, now[name])
        elif now and not after.get("additionalProperties"):
            yield f"{place}.{name} is gone"
    for name in sorted(set(after.get("required", ())) - set(before.get("required", ()))):
        yield f"{place}.{name} has become required"
    for part, mark in (("items", "[]"), ("additionalProperties", ".*")):
        if isinstance(before.get(part), dict) and isinstance(after.get(part), dict):
            yield from _accepts(place + mark, before[part], after[part])


def _alternatives(place: str, before: list[Schema], after: list[Schema]) -> Iterator[str]:
    for schema in before:
        if all(any(True for _ in _accepts(place, schema, other)) for other in after):
            yield f"{place} no longer takes {json.dumps(schema)[:100]}"


def _narrowed(place: str, before: Schema, after: Schema) -> Iterator[str]:
    if "type" in after and before.get("type") != after["type"]:
        yield f"{place} takes {after['type']} instead of {before.get('type', 'anything')}"
    if "enum" in after and not set(before.get("enum", [object])) <= set(after["enum"]):
        yield f"{place} takes {', '.join(map(str, after['enum']))} only"
    if "pattern" in after and after["pattern"] != before.get("pattern"):
        yield f"{place} takes {after['pattern']} only"
    for bound in _CEILINGS:
        if bound in after and after[bound] < before.get(bound, float("inf")):
            yield f"{place}: {bound} has become {after[bound]}"
    for bound in _FLOORS:
        if bound in after and after[bound] > before.get(bound, float("-inf")):
            yield f"{place}: {bound} has become {after[bound]}"


def _tells(place: str, before: Schema, after: Schema) -> Iterator[str]:
    """Yield what an answer had and has no longer; an empty schema promised nothing."""
    if not before:
        return
    if "anyOf" in before or "anyOf" in after:
        for schema in after.get("anyOf", [after]):
            if all(any(True for _ in _tells(place, promised, schema)) for promised in before.get("anyOf", [before])):
                yield f"{place} may also be {json.dumps(schema)[:100]}"
        return
    if before.get("type") != after.get("type"):
        yield f"{place} is {after.get('type')} instead of {before.get('type')}"
        return
    for name, schema in before.get("properties", {}).items():
        if name not in after.get("properties", {}):
            yield f"{place}.{name} is gone"
        else:
            yield from _tells(f"{place}.{name}", schema, after["properties"][name])
    for name in sorted(set(before.get("required", ())) - set(after.get("required", ()))):
        yield f"{place}.{name} is no longer always there"
    if isinstance(before.get("items"), dict) and isinstance(after.get("items"), dict):
        yield from _tells(f"{place}[]", before["items"], after["items"])


def main(promise: bool) -> int:
    """Compare or promise; return the exit code."""
    now = reduced(json.loads((ROOT / "docs" / "openapi.json").read_text()))
    if promise:
        PROMISED.write_text(json.dumps(now, separators=(",", ":")) + "\n")
        return 0
    broken = list(breaking(json.loads(PROMISED.read_text()), now))
    for line in broken:
        print(line, file=sys.stderr)  # noqa: T201
    return int(bool(broken))


if __name__ == "__main__":
    sys.exit(main("--promise" in sys.argv[1:]))
