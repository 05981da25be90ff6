"""An OpenID Connect issuer on loopback, for sign-ins: authorization code with PKCE."""

import base64
import hashlib
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlencode

import jwt
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.k8s_manager.api.authn.test_authenticators import public

KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)


class TestIssuer:
    """An issuer on loopback at which everybody is `anna`."""

    __test__ = False

    def __init__(self) -> None:
        self.url = ""
        self.asked: list[dict[str, str]] = []
        self.codes: dict[str, dict[str, str]] = {}
        self.changes: dict[str, object] = {}
        self.is_away = False
        self.ends: list[dict[str, str]] = []
        """What it was asked to end."""
        self.has_end = True
        self.scopes: list[str] = []
        """The scopes that it knows; all where there are none."""
        self.refresh: set[str] = set()
        """The refresh tokens that it takes, each once; it gives them only where `renews`."""
        self.renews = False
        self.takes_refresh = True
        self.renewed = 0
        self.renewal: dict[str, object] = {}
        """What is different in the tokens that are given for a refresh token."""

    async def discovery(self, _: web.Request) -> web.Response:
        if self.is_away:
            raise web.HTTPServiceUnavailable
        names = {"jwks_uri": "keys", "authorization_endpoint": "authorize", "token_endpoint": "token"}
        if self.has_end:
            names["end_session_endpoint"] = "end?of=fleet"
        known = {"scopes_supported": self.scopes} if self.scopes else {}
        places = {name: f"{self.url}/{at}" for name, at in names.items()}
        return web.json_response({"issuer": self.url, **places, **known})

    async def keys(self, _: web.Request) -> web.Response:
        return web.json_response({"keys": [public("k1", KEY)]})

    async def authorize(self, request: web.Request) -> web.Response:
        asked = dict(request.query)
        assert asked["response_type"] == "code" and asked["code_challenge_method"] == "S256"
        self.asked.append(asked)
        if self.scopes and not set(asked["scope"].split()) <= set(self.scopes):
            refusal = {"error": "invalid_scope", "state": asked["state"]}
            raise web.HTTPFound(f"{asked['redirect_uri']}?{urlencode(refusal)}")
        code = secrets.token_urlsafe()
        self.codes[code] = asked
        raise web.HTTPFound(f"{asked['redirect_uri']}?{urlencode({'code': code, 'state': asked['state']})}")

    async def end(self, request: web.Request) -> web.Response:
        """End the session of an ID token, expired or not."""
        asked = dict(request.query)
        jwt.decode(
            asked["id_token_hint"], KEY.public_key(), ["RS256"], audience="tidegate", options={"verify_exp": False}
        )
        self.ends.append(asked)
        raise web.HTTPFound(f"{asked['post_logout_redirect_uri']}?{urlencode({'state': asked['state']})}")

    async def token(self, request: web.Request) -> web.Response:
        form = await request.post()
        if form["grant_type"] == "refresh_token":
            return self._renew(str(form["refresh_token"]))
        asked = self.codes.pop(str(form["code"]), None)
        digest = hashlib.sha256(str(form["code_verifier"]).encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        if asked is None or asked["code_challenge"] != challenge or asked["redirect_uri"] != form["redirect_uri"]:
            return web.json_response({"error": "invalid_grant"}, status=400)
        return self._given({"nonce": asked["nonce"], **self.changes})

    def _renew(self, given: str) -> web.Response:
        if given not in self.refresh or not self.takes_refresh:
            return web.json_response({"error": "invalid_grant"}, status=400)
        self.refresh.remove(given)
        self.renewed += 1
        return self._given(self.renewal)

    def _given(self, more: dict[str, object]) -> web.Response:
        claims = {
            "iss": self.url, "aud": "tidegate", "sub": "anna", "groups": ["search-ml"], "exp": time.time() + 300,
            **more,
        }  # fmt: skip
        answer = {"id_token": jwt.encode(claims, KEY, "RS256", headers={"kid": "k1"})}
        if self.renews:
            answer["refresh_token"] = secrets.token_urlsafe()
            self.refresh.add(answer["refresh_token"])
        return web.json_response(answer)


@asynccontextmanager
async def issuing() -> AsyncIterator[TestIssuer]:
    """Run an issuer until the block ends."""
    found = TestIssuer()
    app = web.Application()
    app.router.add_get("/.well-known/openid-configuration", found.discovery)
    app.router.add_get("/keys", found.keys)
    app.router.add_get("/authorize", found.authorize)
    app.router.add_get("/end", found.end)
    app.router.add_post("/token", found.token)
    runner = web.AppRunner(app, shutdown_timeout=0.2)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    found.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield found
    await runner.cleanup()
