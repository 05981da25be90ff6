"""Reading a request's body: JSON or YAML, at most 1 MiB, one mapping, which may have a type."""

import asyncio
from codecs import BOM_UTF8
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, TypeVar

import orjson
from fastapi import Depends, Request
from pydantic import ValidationError

from istio_templates.documents import load
from istio_templates.documents.fields import Spec
from istio_templates.documents.json_reader import require_single_keys
from istio_templates.documents.parse import problems_of
from istio_templates.errors import Invalid, Problem
from k8s_manager.api.problems import Broken, TooLarge

LIMIT = 2**20
Typed = TypeVar("Typed", bound=Spec)


async def mapping(request: Request) -> dict[str, Any]:
    """Return the mapping in a body; raises `Broken`, `TooLarge` or `Invalid`."""
    raw = await _raw(request)
    is_yaml = "yaml" in request.headers.get("content-type", "")
    found = await asyncio.to_thread(_yaml, raw) if is_yaml else _json(raw)
    if not isinstance(found, dict):
        raise Invalid("the body", [Problem("", f"is a {type(found).__name__}; send one document, a mapping")])
    return found


DocumentBody = Annotated[dict[str, Any], Depends(mapping)]


def body_of(model: type[Typed], subject: str) -> Callable[[Request], Awaitable[Typed]]:
    """Return the dependency that reads a body of a type; `subject` names it in errors, with parameters of the path."""

    async def read(request: Request) -> Typed:
        raw = await mapping(request)
        try:
            return model.model_validate(raw)
        except ValidationError as error:
            raise Invalid(subject.format(**request.path_params), problems_of(error, model)) from error

    return read


async def _raw(request: Request) -> bytes:
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > LIMIT:
        raise TooLarge(f"the body has {declared} bytes; at most {LIMIT} are read")
    raw = bytearray()
    async for chunk in request.stream():
        raw += chunk
        if len(raw) > LIMIT:
            raise TooLarge(f"the body has more than {LIMIT} bytes, which is all that is read")
    return bytes(raw)


def _json(raw: bytes) -> Any:
    try:
        found = orjson.loads(raw.removeprefix(BOM_UTF8))
        require_single_keys(raw)
        return found
    except ValueError as error:
        raise Broken(f"broken JSON: {error}; correct the syntax, or say content-type application/yaml") from error
    except RecursionError as error:
        raise Broken("the JSON is nested deeper than a document ever is; send a document") from error


def _yaml(raw: bytes) -> Any:
    try:
        found = load(raw.decode(), "the body", aliases=False)
    except UnicodeDecodeError as error:
        raise Broken("the body is not UTF-8; save it as UTF-8") from error
    except Invalid as error:
        raise Broken(str(error)) from error
    if len(found) != 1:
        raise Invalid("the body", [Problem("", f"has {len(found)} documents; send one")])
    return found[0]
