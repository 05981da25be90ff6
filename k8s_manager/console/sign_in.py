"""How a session begins: a token that is pasted, or a link that works once."""

from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from k8s_manager.api.guard import bearer_of
from k8s_manager.console import ROOT
from k8s_manager.console.api_client import ApiRefusal
from k8s_manager.console.form import read_form
from k8s_manager.console.page import page
from k8s_manager.console.sessions import SessionToken
from k8s_manager.console.site import COOKIE, ConsoleSite, require_own_form

LONGEST_TOKEN = 16_384


class SignIn:
    """The routes that need no session."""

    def __init__(self, site: ConsoleSite, issuer: str | None = None) -> None:
        self._site, self._issuer = site, issuer

    def routes(self) -> list[Route]:
        """Return them."""
        return [
            Route(f"{ROOT}/sign-in", self._asked, methods=["GET"]),
            Route(f"{ROOT}/sign-in", self._given, methods=["POST"]),
            Route(f"{ROOT}/links", self._made, methods=["POST"]),
            Route(f"{ROOT}/links/{{secret}}", self._used, methods=["GET"]),
        ]

    async def _asked(self, request: Request) -> Response:
        return self.form(request, wanted_page(request.query_params.get("next", "")))

    async def _given(self, request: Request) -> Response:
        form = await read_form(request)
        back, token = wanted_page(form.get("next", "")), form.get("token", "").strip()
        require_own_form(request)
        if not token or len(token) > LONGEST_TOKEN or not token.isascii() or not token.isprintable():
            return self.form(request, back, "Paste the token as you got it: it is empty, or no token.", 422)
        try:
            caller = await self._site.client(request, token).get("/v1/whoami")
        except ApiRefusal as refusal:
            return self.form(request, back, refusal.detail, refusal.status)
        self._site.leave(request)
        return self.let_in(request, self._site.sessions.begin(SessionToken(token), caller["user"]), back)

    async def _made(self, request: Request) -> Response:
        """Give the holder of a bearer token a link that signs it in once."""
        token = bearer_of(request) or ""
        reply = await self._site.client(request, token).call("GET", "/v1/whoami")
        if not reply.is_good:
            return JSONResponse(reply.body, reply.status, media_type="application/problem+json")
        secret = self._site.sessions.link(token, reply.body["user"])
        return JSONResponse({"path": f"{ROOT}/links/{secret}"}, 201)

    async def _used(self, request: Request) -> Response:
        self._site.leave(request)
        name = self._site.sessions.redeem(request.path_params["secret"])
        if name is None:
            return self.form(request, f"{ROOT}/", "This link was used already, or is too old. Ask for another.", 410)
        return self.let_in(request, name, f"{ROOT}/")

    def let_in(self, request: Request, name: str, back: str) -> Response:
        """Return the answer that gives the browser its session."""
        answer = RedirectResponse(back, 303)
        is_secure = request.url.scheme == "https" or request.headers.get("x-forwarded-proto") == "https"
        answer.set_cookie(COOKIE, name, path=ROOT, httponly=True, samesite="lax", secure=is_secure)
        return answer

    def form(self, request: Request, back: str, problem: str = "", status: int = 200) -> Response:
        """Return the page that asks who it is, with what was wrong."""
        return page(request, "sign_in.html", status, back=back, problem=problem, issuer=self._issuer)


def wanted_page(given: str) -> str:
    """Return the page of this console that is asked for after the sign-in; the first one for anything else."""
    parts = urlsplit(given) if given.isprintable() and "\\" not in given else urlsplit("")
    is_own = not parts.scheme and not parts.netloc and (parts.path == ROOT or parts.path.startswith(f"{ROOT}/"))
    return given if is_own and not given.startswith("//") and ".." not in parts.path else f"{ROOT}/"
