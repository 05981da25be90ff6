"""Every error as `application/problem+json` (RFC 9457), ours and the framework's alike."""

from collections.abc import Sequence
from http import HTTPStatus

import orjson
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from istio_templates.errors import Conflict, Invalid, NotFound, Problem, Stalled, TidegateError, Transient, Waiting

TYPE = "https://tidegate.dev/problems/"


class Broken(TidegateError):
    """A body that cannot be read at all (400)."""


class Unidentified(TidegateError):
    """A call without a valid bearer token (401)."""


class Outdated(TidegateError):
    """An If-Match that names another version than the current one (412)."""


class TooLarge(TidegateError):
    """A body over the limit (413)."""


_STATUS: dict[type[TidegateError], int] = {
    Broken: 400,
    Unidentified: 401,
    NotFound: 404,
    Conflict: 409,
    Outdated: 412,
    TooLarge: 413,
    Invalid: 422,
    Waiting: 503,
    Transient: 503,
    Stalled: 503,
}


def problem(
    status: int, detail: str, fields: Sequence[Problem] = (), headers: dict[str, str] | None = None
) -> Response:
    """Return a problem document."""
    title = HTTPStatus(status).phrase
    body = {
        "type": TYPE + title.lower().replace(" ", "-"),
        "title": title,
        "status": status,
        "detail": detail,
        "problems": [{"field": found.field, "message": found.message} for found in fields],
    }
    return Response(orjson.dumps(body), status, media_type="application/problem+json", headers=headers)


def status_of(error: TidegateError) -> int:
    """Return the HTTP status for an error."""
    return next((status for kind, status in _STATUS.items() if isinstance(error, kind)), 500)


def answer(error: TidegateError) -> Response:
    """Return the problem document for one of our errors."""
    fields = error.problems if isinstance(error, Invalid | Conflict) else ()
    headers = {}
    if isinstance(error, Unidentified):
        headers["WWW-Authenticate"] = "Bearer"
    if isinstance(error, Waiting):
        headers["Retry-After"] = str(max(1, round(error.after)))
    return problem(status_of(error), str(error), fields, headers)


def install(app: FastAPI) -> None:
    """Make every error of an application a problem document."""

    async def ours(_: Request, error: Exception) -> Response:
        assert isinstance(error, TidegateError)
        return answer(error)

    async def of_framework(_: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        headers = dict(error.headers or {})
        return problem(error.status_code, str(error.detail), headers=headers)

    async def of_parameters(_: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        fields = [Problem(".".join(map(str, e["loc"][1:])), e["msg"]) for e in error.errors()]
        return problem(422, "a parameter is wrong", fields)

    app.add_exception_handler(TidegateError, ours)
    app.add_exception_handler(HTTPException, of_framework)
    app.add_exception_handler(RequestValidationError, of_parameters)
