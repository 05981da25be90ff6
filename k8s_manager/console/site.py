"""The console's application: who is let in, what every answer carries, and what is shown when something fails."""

import logging
from collections.abc import Awaitable, Callable, Mapping
from functools import wraps
from urllib.parse import urlencode

from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from istio_templates.errors import TidegateError
from k8s_manager.console import ROOT
from k8s_manager.console.api_client import ApiClient, ApiRefusal
from k8s_manager.console.assets import assets
from k8s_manager.console.form import BadForm, read_form
from k8s_manager.console.page import PageReader, page
from k8s_manager.console.security_headers import secure
from k8s_manager.console.sessions import Sessions
from k8s_manager.runtime.clock import Clock

log = logging.getLogger(__name__)
COOKIE = "tidegate-session"
FOREVER = "public, max-age=31536000, immutable"
Handler = Callable[[Request], Awaitable[Response]]


class ConsoleSite:
    """What all pages share: the API, the sessions, and the mark of the moment from which on a page follows changes."""

    def __init__(self, api: ASGIApp, sessions: Sessions, clock: Clock, mark: Callable[[], str]) -> None:
        self.api, self.sessions, self._clock, self._mark = api, sessions, clock, mark

    def now(self) -> float:
        """Return the clock by which sessions end."""
        return self._clock.now()

    def client(self, request: Request, token: str) -> ApiClient:
        """Return the API as it is for the holder of a token, from the address of a request."""
        address = (request.client.host, request.client.port) if request.client else None
        return ApiClient(self.api, token, address)

    def leave(self, request: Request) -> None:
        """End the session of a request, if it has one."""
        self.sessions.end(request.cookies.get(COOKIE, ""))

    def read(self, handler: Handler) -> Handler:
        """Return a page for those who signed in; others are asked to, and come back to it."""

        @wraps(handler)
        async def shown(request: Request) -> Response:
            session = await self.sessions.renewed(request.cookies.get(COOKIE, ""))
            if session is None:
                return to_sign_in(request)
            try:
                request.state.reader = await PageReader.of(
                    session, self.client(request, session.token), self._clock.utc(), self._mark()
                )
            except ApiRefusal as refusal:
                if refusal.status != 401:
                    raise
                self.leave(request)
                return to_sign_in(request)
            return await handler(request)

        return shown

    def write(self, handler: Handler) -> Handler:
        """Return what takes a form of a page of this session, and of no other."""

        @wraps(handler)
        async def taken(request: Request) -> Response:
            form = await read_form(request)
            require_own_form(request)
            if not reader_of(request).session.allows(form.get("csrf", "")):
                raise HTTPException(403, "this form is of a session that has ended; load the page again")
            request.state.form = form
            return await handler(request)

        return self.read(taken)


def require_own_form(request: Request) -> None:
    """Raise `HTTPException` for a form that a browser says is another site's."""
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        raise HTTPException(403, "this form comes from another site; open the console, and do it there")


def to_sign_in(request: Request) -> Response:
    """Send a reader to the sign-in, and from there back."""
    back = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    where = f"{ROOT}/sign-in?{urlencode({'next': back})}" if request.method == "GET" else f"{ROOT}/sign-in"
    return RedirectResponse(where, 303)


def form_of(request: Request) -> Mapping[str, str]:
    """Return the form that a request was let pass with."""
    form: Mapping[str, str] = request.state.form
    return form


def reader_of(request: Request) -> PageReader:
    """Return who reads the page that is asked for."""
    reader: PageReader = request.state.reader
    return reader


def application(routes: list[Route]) -> ASGIApp:
    """Return the console of these routes."""
    files = Route(f"{ROOT}/assets/{{name}}", _file, name="asset")
    app = Starlette(
        routes=[files, *routes],
        exception_handlers={
            ApiRefusal: _refused,  # type: ignore[dict-item]
            BadForm: _bad_form,  # type: ignore[dict-item]
            TidegateError: _failed,  # type: ignore[dict-item]
            HTTPException: _stopped,  # type: ignore[dict-item]
            Exception: _broken,
        },
    )
    return Secured(app)


class Secured:
    """The outermost layer: headers on every answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""

        async def answered(message: Message) -> None:
            if message["type"] == "http.response.start":
                secure(MutableHeaders(scope=message))
            await send(message)

        await self._app(scope, receive, answered if scope["type"] == "http" else send)


async def _file(request: Request) -> Response:
    found = assets().get(request.path_params["name"])
    if found is None:
        raise HTTPException(404)
    headers = {"Cache-Control": FOREVER, "Vary": "Accept-Encoding"}
    if "gzip" in request.headers.get("accept-encoding", ""):
        return Response(found.packed, media_type=found.media_type, headers={**headers, "Content-Encoding": "gzip"})
    return Response(found.content, media_type=found.media_type, headers=headers)


async def _refused(request: Request, refusal: ApiRefusal) -> Response:
    return page(
        request, "problem.html", refusal.status, title=refusal.title, detail=refusal.detail, problems=refusal.problems
    )


async def _bad_form(request: Request, error: BadForm) -> Response:
    return page(request, "problem.html", 400, title="The form was not taken", detail=str(error), problems=[])


async def _failed(request: Request, error: TidegateError) -> Response:
    return page(request, "problem.html", 503, title="Not now", detail=str(error), problems=[])


async def _stopped(request: Request, error: HTTPException) -> Response:
    title = {404: "There is no such page", 405: "Not this way"}.get(error.status_code, "Not allowed")
    detail = error.detail if error.status_code == 403 else "Choose a page on the left."
    return page(request, "problem.html", error.status_code, title=title, detail=detail, problems=[])


async def _broken(request: Request, error: Exception) -> Response:
    log.error("the console's page %s failed", request.url.path, exc_info=error)
    detail = "This is a fault of the console. The manager's log has more; the API and the command line work on."
    return page(request, "problem.html", 500, title="This page failed", detail=detail, problems=[])


def beside(api: ASGIApp, console: ASGIApp) -> ASGIApp:
    """Return the API with the console beside it."""

    async def served(scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "") if scope["type"] == "http" else ""
        if path == "/" and scope["method"] in ("GET", "HEAD"):
            await RedirectResponse(f"{ROOT}/", 307)(scope, receive, send)
            return
        await (console if path == ROOT or path.startswith(f"{ROOT}/") else api)(scope, receive, send)

    return served
