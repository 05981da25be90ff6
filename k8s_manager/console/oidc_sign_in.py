"""Sign-in at the OpenID Connect issuer that the API trusts: authorization code with PKCE (RFC 6749, RFC 7636).

What the browser brings back is worth nothing by itself: the state belongs to a cookie of this browser, the code to a
secret that never leaves the manager, and the token is taken only if the API takes it. Where the issuer gives a refresh
token, it stays here too, and gets the tokens that follow.
"""

import base64
import hashlib
import hmac
import secrets
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import jwt
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from istio_templates.errors import Transient
from k8s_manager.api.authn.key_fetch import Fetcher
from k8s_manager.authz.issuer import Issuer
from k8s_manager.console import ROOT
from k8s_manager.console.api_client import ApiRefusal
from k8s_manager.console.sessions import SessionToken
from k8s_manager.console.sign_in import SignIn, wanted_page
from k8s_manager.console.site import ConsoleSite
from k8s_manager.runtime.clock import Clock

STATE_COOKIE = "tidegate-sign-in"
HOLDS = 600.0
"""Seconds in which a sign-in that has begun may end."""
MOST_BEGUN = 1_000
SIGNED_OUT = "signed-out"
"""The state with which a browser comes back from a sign-out."""
SCOPE = "openid profile email groups"
"""What is asked for of that which the issuer knows: some refuse a sign-in for a scope that they do not."""


@dataclass(frozen=True, slots=True)
class OidcClient:
    """What the console is at an issuer: its client, the file of its secret if it has one, the address under which
    browsers reach it (absent: the one that they ask), and the scopes that it asks for."""

    issuer: Issuer
    client_id: str
    secret_file: Path | None = None
    url: str | None = None
    scope: str = SCOPE


@dataclass(frozen=True, slots=True)
class _Begun:
    """A sign-in under way."""

    browser: str
    verifier: str
    nonce: str
    redirect: str
    back: str
    until: float


class OidcSignIn:
    """The two routes: to the issuer, and back."""

    def __init__(self, site: ConsoleSite, sign_in: SignIn, client: OidcClient, fetch: Fetcher, clock: Clock) -> None:
        self._site, self._sign_in, self._client, self._fetch, self._clock = site, sign_in, client, fetch, clock
        self._begun = OrderedDict[str, _Begun]()

    def routes(self) -> list[Route]:
        """Return them."""
        return [
            Route(f"{ROOT}/oidc", self._leave, methods=["GET"]),
            Route(f"{ROOT}/oidc/callback", self._return, methods=["GET"]),
        ]

    async def _leave(self, request: Request) -> Response:
        back = wanted_page(request.query_params.get("next", ""))
        try:
            issuer = await discovered(self._client, self._fetch)
            where, scope = endpoint_of(self._client, issuer, "authorization_endpoint"), self._scope(issuer)
        except Transient as error:
            return self._sign_in.form(request, back, f"The issuer cannot be reached: {error}", 503)
        state, begun = secrets.token_urlsafe(24), self._begin(request, back)
        while len(self._begun) >= MOST_BEGUN:
            self._begun.popitem(last=False)
        self._begun[state] = begun
        challenge = base64.urlsafe_b64encode(hashlib.sha256(begun.verifier.encode()).digest()).rstrip(b"=").decode()
        query = {
            "response_type": "code",
            "client_id": self._client.client_id,
            "redirect_uri": begun.redirect,
            "scope": scope,
            "state": state,
            "nonce": begun.nonce,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        answer = RedirectResponse(where + ("&" if "?" in where else "?") + urlencode(query), 303)
        options: dict[str, Any] = {"path": f"{ROOT}/oidc", "httponly": True, "samesite": "lax", "max_age": int(HOLDS)}
        answer.set_cookie(STATE_COOKIE, begun.browser, secure=begun.redirect.startswith("https"), **options)
        return answer

    async def _return(self, request: Request) -> Response:
        given = request.query_params
        if given.get("state") == SIGNED_OUT and not {"code", "error"} & given.keys():
            return RedirectResponse(f"{ROOT}/sign-in", 303)
        begun = self._begun.pop(given.get("state", ""), None)
        browser = request.cookies.get(STATE_COOKIE, "")
        is_own = begun is not None and hmac.compare_digest(begun.browser.encode(), browser.encode())
        if begun is None or not is_own or self._clock.now() >= begun.until:
            return self._sign_in.form(request, f"{ROOT}/", "This sign-in was not begun here, or took too long.", 400)
        if "error" in given:
            said = given.get("error_description") or given["error"]
            return self._sign_in.form(request, begun.back, f"The issuer refused: {said[:300]}", 401)
        try:
            tokens = await self._exchange(given.get("code", ""), begun)
        except Transient as error:
            return self._sign_in.form(request, begun.back, f"The issuer did not complete the sign-in: {error}", 502)
        return await self._let_in(request, tokens, begun)

    async def _let_in(self, request: Request, tokens: dict[str, Any], begun: _Begun) -> Response:
        """Begin a session with the first of the issuer's tokens that the API takes."""
        if _claims(tokens.get("id_token")).get("nonce") != begun.nonce:
            return self._sign_in.form(request, begun.back, "The issuer's token is not for this sign-in.", 401)
        try:
            token, user = await self._accepted(request, tokens)
        except (ApiRefusal, Transient) as error:
            return self._sign_in.form(request, begun.back, str(error), 401)
        self._site.leave(request)
        given = self._given(request, user, token, tokens)
        return self._sign_in.let_in(request, self._site.sessions.begin(given, user), begun.back)

    async def _accepted(self, request: Request, tokens: dict[str, Any]) -> tuple[str, str]:
        """Return the first of the issuer's tokens that the API takes, and whose it is; raises `ApiRefusal`, or
        `Transient` where there is none at all."""
        refusal: ApiRefusal | Transient = Transient("The issuer sent no token.")
        for name in ("id_token", "access_token"):
            token = tokens.get(name)
            if not isinstance(token, str):
                continue
            try:
                return token, str((await self._site.client(request, token).get("/v1/whoami"))["user"])
            except ApiRefusal as found:
                refusal = found
        raise refusal

    def _given(self, request: Request, user: str, token: str, tokens: dict[str, Any]) -> SessionToken:
        """Return what a session begins or goes on with."""
        left = float(_claims(token).get("exp", 0)) - self._clock.utc().timestamp()
        refresh, id_token = tokens.get("refresh_token"), str(tokens.get("id_token") or "")
        if not isinstance(refresh, str):
            return SessionToken(token, left, id_token=id_token)

        async def renew() -> SessionToken:
            found = await self._ask({"grant_type": "refresh_token", "refresh_token": refresh})
            following, whose = await self._accepted(request, found)
            if whose != user:
                raise Transient(f"the issuer renewed the token of {user} for {whose}")
            return self._given(request, user, following, {"refresh_token": refresh, **found})

        return SessionToken(token, left, renew, id_token)

    def _begin(self, request: Request, back: str) -> _Begun:
        redirect = callback_of(self._client, request)
        made = [secrets.token_urlsafe(32) for _ in range(3)]
        return _Begun(made[0], made[1] + made[1], made[2], redirect, back, self._clock.now() + HOLDS)

    def _scope(self, issuer: dict[str, Any]) -> str:
        known = issuer.get("scopes_supported")
        wanted = self._client.scope.split()
        return " ".join(one for one in wanted if not isinstance(known, list) or one == "openid" or one in known)

    async def _exchange(self, code: str, begun: _Begun) -> dict[str, Any]:
        """Return the tokens for a code; raises `Transient`."""
        given = {"code": code, "redirect_uri": begun.redirect, "code_verifier": begun.verifier}
        return await self._ask({"grant_type": "authorization_code", **given})

    async def _ask(self, given: dict[str, str]) -> dict[str, Any]:
        """Return the tokens for what is given, as this client; raises `Transient`."""
        form = {**given, "client_id": self._client.client_id}
        if self._client.secret_file is not None:
            try:
                form["client_secret"] = self._client.secret_file.read_text().strip()
            except OSError as error:
                raise Transient(f"the client's secret cannot be read: {error}") from error
        issuer = await discovered(self._client, self._fetch)
        return await self._fetch.send(endpoint_of(self._client, issuer, "token_endpoint"), form)


def callback_of(client: OidcClient, request: Request) -> str:
    """Return where an issuer sends browsers back to, after a sign-in and after a sign-out: one address to register."""
    base = (client.url or f"{request.url.scheme}://{request.url.netloc}").rstrip("/")
    return f"{base}{ROOT}/oidc/callback"


async def discovered(client: OidcClient, fetch: Fetcher) -> dict[str, Any]:
    """Return what an issuer says of itself; raises `Transient`."""
    return await fetch(f"{client.issuer.url.rstrip('/')}/.well-known/openid-configuration")


def endpoint_of(client: OidcClient, issuer: dict[str, Any], name: str) -> str:
    """Return an address of an issuer by what it says of itself; raises `Transient` where it has none."""
    found = issuer.get(name)
    if not isinstance(found, str) or urlsplit(found).scheme not in ("https", "http"):
        raise Transient(f"the discovery document of {client.issuer.url} has no {name}")
    return found


def _claims(token: object) -> dict[str, Any]:
    """Return what a token says of itself; the API is what checks it."""
    try:
        found = jwt.decode(str(token), options={"verify_signature": False, "verify_exp": False, "verify_aud": False})
    except jwt.PyJWTError:
        return {}
    return found if isinstance(found, dict) else {}
