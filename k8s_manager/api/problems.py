"""Every error as `application/problem+json` (RFC 9457), the manager's and the framework's alike."""

import math
from collections.abc import Sequence
from http import HTTPStatus

import orjson
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.routing import Route

from istio_templates.errors import (
    Conflict,
    Invalid,
    NotFound,
    Outdated,
    Problem,
    Stalled,
    TidegateError,
    Transient,
    Waiting,
)
from k8s_manager.api.authn.authenticators import Unidentified
from k8s_manager.runtime.work.work_queue import TooMany

TYPE = "https://tidegate.dev/problems/"


class Broken(TidegateError):
    """A body that cannot be read at all (400)."""


class Denied(TidegateError):
    """A call for which the caller lacks a right (403)."""


class Unconditional(TidegateError):
    """An overwrite that does not say which version it replaces (428)."""


class TooLarge(TidegateError):
    """A body over the limit (413)."""


_STATUS: dict[type[TidegateError], int] = {
    Broken: 400,
    Unidentified: 401,
    Denied: 403,
    NotFound: 404,
    Conflict: 409,
    Outdated: 412,
    TooLarge: 413,
    Invalid: 422,
    Unconditional: 428,
    TooMany: 429,
    Waiting: 503,
    Transient: 503,
    Stalled: 503,
}


def problem(
    request: Request, status: int, detail: str, fields: Sequence[Problem] = (), headers: dict[str, str] | None = None
) -> Response:
    """Return a problem document."""
    title = HTTPStatus(status).phrase
    body = {
        "type": TYPE + title.lower().replace(" ", "-"),
        "title": title,
        "status": status,
        "detail": detail,
        "problems": [{"field": found.field, "message": found.message} for found in fields],
        "requestId": request.state.exchange.id,
    }
    return Response(orjson.dumps(body), status, media_type="application/problem+json", headers=headers)


def status_of(error: TidegateError) -> int:
    """Return the HTTP status for an error."""
    return next((status for kind, status in _STATUS.items() if isinstance(error, kind)), 500)


def answer(request: Request, error: TidegateError) -> Response:
    """Return the problem document for a `TidegateError`."""
    fields = error.problems if isinstance(error, Invalid | Conflict | NotFound) else ()
    headers = {}
    if isinstance(error, Unidentified):
        headers["WWW-Authenticate"] = "Bearer"
    if isinstance(error, Waiting | TooMany):
        headers["Retry-After"] = str(max(1, math.ceil(error.after)))
    return problem(request, status_of(error), str(error), fields, headers)


def install(app: FastAPI) -> None:
    """Make every error of an application a problem document."""

    async def ours(request: Request, error: Exception) -> Response:
        assert isinstance(error, TidegateError)
        return answer(request, error)

    async def of_framework(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        headers = dict(error.headers or {})
        if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
            headers["Allow"] = ", ".join(_allowed(app, request))
        return problem(request, error.status_code, str(error.detail), headers=headers)

    async def of_parameters(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        fields = [Problem(".".join(map(str, e["loc"][1:])), e["msg"]) for e in error.errors()]
        return problem(request, 422, "a parameter is wrong", fields)

    async def unexpected(request: Request, _: Exception) -> Response:
        return problem(
            request, 500, "something went wrong that should not; the manager's log has it by the request's id"
        )

    app.add_exception_handler(TidegateError, ours)
    app.add_exception_handler(HTTPException, of_framework)
    app.add_exception_handler(RequestValidationError, of_parameters)
    app.add_exception_handler(Exception, unexpected)


def _allowed(app: FastAPI, request: Request) -> list[str]:
    """Return the methods of a path; the framework knows a route for each and names the first one's only."""
    found = (route for route in app.routes if isinstance(route, Route) and route.path_regex.match(request.url.path))
    return sorted({method for route in found for method in route.methods or ()})
