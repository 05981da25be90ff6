"""Every answer of the REST API that a test gets, held to its description.

The description leaves objects open, for fields of later versions. Here they are closed: a field that an answer has and
the description does not is wrong.
"""

import json
from collections import Counter
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import jsonschema_rs
from starlette.types import ASGIApp, Message, Receive, Scope, Send

DESCRIPTION = Path(__file__).parents[2] / "docs" / "openapi.json"
_ADDRESS = "urn:api"
_PROBLEM = {"$ref": "#/components/schemas/Problem"}


def closed(schema: Any) -> Any:
    """Return a description whose objects have the fields that are named and no others."""
    if isinstance(schema, list):
        return [closed(inner) for inner in schema]
    if not isinstance(schema, dict):
        return schema
    out = {key: closed(inner) for key, inner in schema.items()}
    if isinstance(out.get("properties"), dict) and out.get("type") == "object":
        out.setdefault("additionalProperties", False)
    return out


def strict_description() -> dict[str, Any]:
    """Return the description with closed answers; bodies are as they are."""
    description = json.loads(DESCRIPTION.read_text())
    description["components"]["schemas"] = closed(description["components"]["schemas"])
    return description


@lru_cache(1)
def _description() -> dict[str, Any]:
    return strict_description()


@lru_cache(None)
def _schema(method: str, path: str | None, status: int, kind: str) -> dict[str, Any] | None:
    """Return the schema of an answer; None where it is not described. What is no operation answers with a problem."""
    operation = _description()["paths"].get(path, {}).get(method.lower())
    if operation is None or (status >= 400 and str(status) not in operation["responses"]):
        return _PROBLEM
    content = operation["responses"].get(str(status), {}).get("content", {})
    return content[kind]["schema"] if kind in content else None


@lru_cache(1)
def _named() -> jsonschema_rs.Registry:
    """Return the named schemas, to which those of answers refer."""
    return jsonschema_rs.Registry([(_ADDRESS, {"components": _description()["components"]})])


@lru_cache(None)
def _validator(schema: str) -> jsonschema_rs.Validator:
    """Return what holds an answer to a schema, which is JSON: most operations share those of their problems."""
    absolute = json.loads(schema.replace('"#/', f'"{_ADDRESS}#/'))
    return jsonschema_rs.Draft202012Validator(absolute, registry=_named())


def wrong(method: str, path: str | None, status: int, kind: str, body: bytes) -> Iterator[str]:
    """Yield what is wrong with an answer to a call of the operation at `path`; None: it is no operation."""
    place, schema = f"{method} {path}: {status} {kind}", _schema(method, path, status, kind)
    if schema is None:
        yield f"{place} is not described"
    elif "json" in kind:
        for error in _validator(json.dumps(schema)).iter_errors(json.loads(body)):
            yield f"{place}: {'.'.join(map(str, error.instance_path))}: {error.message[:500]}"


class AnswerCheck:
    """A layer around the application that notes what is wrong with answers, and which operations gave them."""

    def __init__(self, app: ASGIApp, found: list[str], seen: Counter[tuple[str, str, int]]) -> None:
        self._app, self._found, self._seen = app, found, seen

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or scope["path"] == "/openapi.json":
            await self._app(scope, receive, send)
            return
        status, kind, body = 0, "", bytearray()

        async def answered(message: Message) -> None:
            nonlocal status, kind
            if message["type"] == "http.response.start":
                status = message["status"]
                kind = dict(message["headers"]).get(b"content-type", b"").decode().partition(";")[0]
            elif kind != "text/event-stream":
                body.extend(message.get("body", b""))
            await send(message)

        await self._app(scope, receive, answered)
        path = getattr(scope.get("route"), "path", None)
        self._seen[scope["method"], path or "", status] += 1
        self._found.extend(wrong(scope["method"], path, status, kind, bytes(body)))
