"""Reading a request's body: JSON or YAML, at most 1 MiB, one mapping, which may have a type.

A body is read once, and a large one beside the event loop. What JSON cannot hold is rejected with its field, whatever
the body is for.
"""

from codecs import BOM_UTF8
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Request
from pydantic import ValidationError
from starlette.requests import ClientDisconnect

from istio_templates.documents import load
from istio_templates.documents.fields import Spec
from istio_templates.documents.parse import problems_of
from istio_templates.errors import Invalid, Problem
from istio_templates.text.json_reader import json_value
from istio_templates.text.json_values import flaw_of
from k8s_manager.api.application_parts import parts_of
from k8s_manager.api.problems import Broken, TooLarge

LIMIT = 2**20
SMALL = 16_384
"""Bytes up to which a body of JSON is read on the event loop, in a millisecond at most."""
Typed = TypeVar("Typed", bound=Spec)
T = TypeVar("T")


async def mapping(request: Request) -> dict[str, Any]:
    """Return the mapping in a body; raises `Broken`, `TooLarge`, `TooMany` or `Invalid`."""
    return await _read(request, lambda found: found)


DocumentBody = Annotated[dict[str, Any], Depends(mapping)]


def body_of(model: type[Typed], subject: str) -> Callable[[Request], Awaitable[Typed]]:
    """Return the dependency that reads a body of a type; `subject` names it in errors, with parameters of the path."""

    async def read(request: Request) -> Typed:
        return await _read(request, partial(_typed, model, subject.format(**request.path_params)))

    return read


async def _read(request: Request, made: Callable[[dict[str, Any]], T]) -> T:
    """Return what is `made` of the mapping in a body."""
    raw = await _raw(request)
    is_yaml = "yaml" in request.headers.get("content-type", "")
    if is_yaml or len(raw) > SMALL:
        return await parts_of(request).backend.work.run(lambda: made(_mapping(raw, is_yaml)))
    return made(_mapping(raw, is_yaml))


def _typed(model: type[Typed], subject: str, raw: dict[str, Any]) -> Typed:
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        raise Invalid(subject, problems_of(error, model)) from error


async def _raw(request: Request) -> bytes:
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and (len(declared) > 20 or int(declared) > LIMIT):
        raise TooLarge(f"the body has {declared[:20]} bytes; at most {LIMIT} are read")
    raw = bytearray()
    try:
        async for chunk in request.stream():
            raw += chunk
            if len(raw) > LIMIT:
                raise TooLarge(f"the body has more than {LIMIT} bytes, which is all that is read")
    except ClientDisconnect as error:
        raise Broken("the connection ended before the body did; send it again") from error
    return bytes(raw)


def _mapping(raw: bytes, is_yaml: bool) -> dict[str, Any]:
    try:
        text = raw.removeprefix(BOM_UTF8).decode()
    except UnicodeDecodeError as error:
        raise Broken("the body is not UTF-8; save it as UTF-8") from error
    found = _yaml(text) if is_yaml else _json(text)
    if not isinstance(found, dict):
        raise Invalid("the body", [Problem("", f"is a {type(found).__name__}; send one document, a mapping")])
    if (flaw := flaw_of(found)) is not None:
        raise Invalid("the body", [flaw])
    return found


def _json(text: str) -> Any:
    try:
        return json_value(text)
    except ValueError as error:
        raise Broken(f"broken JSON: {error}; correct the syntax, or say content-type application/yaml") from error
    except RecursionError as error:
        raise Broken("the JSON is nested deeper than a document ever is; send a document") from error


def _yaml(text: str) -> Any:
    try:
        found = load(text, "the body", aliases=False)
    except Invalid as error:
        if any(problem.field for problem in error.problems):
            raise
        raise Broken(str(error)) from error
    if len(found) != 1:
        raise Invalid("the body", [Problem("", f"has {len(found)} documents; send one")])
    return found[0]
