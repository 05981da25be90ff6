"""Sign-in at an issuer: code with PKCE, bound to the browser that began it."""

import base64
import hashlib
import secrets
import time
from collections.abc import AsyncIterator
from urllib.parse import parse_qs, urlencode, urlsplit

import jwt
import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import rsa

from k8s_manager.api.authn.key_fetch import fetcher
from k8s_manager.api.authn.oidc import Oidc
from k8s_manager.authz.issuer import Issuer
from k8s_manager.runtime.clock import SystemClock
from tests.features.conftest import make_search
from tests.k8s_manager.api.authn.test_authenticators import public
from tests.k8s_manager.console.conftest import Place
from tests.support.documents import tenant

KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)


class TestIssuer:
    """An issuer on loopback at which everybody is `anna`."""

    __test__ = False

    def __init__(self) -> None:
        self.url = ""
        self.codes: dict[str, dict[str, str]] = {}
        self.changes: dict[str, object] = {}
        self.is_away = False

    async def discovery(self, _: web.Request) -> web.Response:
        if self.is_away:
            raise web.HTTPServiceUnavailable
        names = {"jwks_uri": "keys", "authorization_endpoint": "authorize", "token_endpoint": "token"}
        return web.json_response({"issuer": self.url, **{name: f"{self.url}/{at}" for name, at in names.items()}})

    async def keys(self, _: web.Request) -> web.Response:
        return web.json_response({"keys": [public("k1", KEY)]})

    async def authorize(self, request: web.Request) -> web.Response:
        asked = dict(request.query)
        assert asked["response_type"] == "code" and asked["code_challenge_method"] == "S256"
        code = secrets.token_urlsafe()
        self.codes[code] = asked
        raise web.HTTPFound(f"{asked['redirect_uri']}?{urlencode({'code': code, 'state': asked['state']})}")

    async def token(self, request: web.Request) -> web.Response:
        form = await request.post()
        asked = self.codes.pop(str(form["code"]), None)
        digest = hashlib.sha256(str(form["code_verifier"]).encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        if asked is None or asked["code_challenge"] != challenge or asked["redirect_uri"] != form["redirect_uri"]:
            return web.json_response({"error": "invalid_grant"}, status=400)
        claims = {
            "iss": self.url, "aud": "tidegate", "sub": "anna", "groups": ["search-ml"], "exp": time.time() + 300,
            "nonce": asked["nonce"], **self.changes,
        }  # fmt: skip
        return web.json_response({"id_token": jwt.encode(claims, KEY, "RS256", headers={"kid": "k1"})})


@pytest.fixture
async def issuer() -> AsyncIterator[TestIssuer]:
    found = TestIssuer()
    app = web.Application()
    app.router.add_get("/.well-known/openid-configuration", found.discovery)
    app.router.add_get("/keys", found.keys)
    app.router.add_get("/authorize", found.authorize)
    app.router.add_post("/token", found.token)
    runner = web.AppRunner(app, shutdown_timeout=0.2)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    found.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield found
    await runner.cleanup()


@pytest.fixture
async def place(fleet, issuer: TestIssuer) -> AsyncIterator[Place]:
    taken = Issuer(issuer.url, "tidegate")
    async with fleet.manager() as manager:
        await make_search(fleet)
        await fleet.apply(tenant(owners=["group:search-ml"]))
        proof = Oidc(taken, fetcher(None), SystemClock())
        async with fleet.rest(manager, proof, oidc=taken, console_client="tidegate") as rest:
            found = Place(fleet, rest, str(rest._session._base_url).rstrip("/"))
            yield found
            await found.close()


async def test_a_person_signs_in_at_the_issuer_and_comes_back_to_the_page(place: Place, issuer: TestIssuer):
    browser = place.browser()
    asked = await browser.get("/console/tenants/search")
    assert f"Sign in at {issuer.url}" in asked.text
    seen = await browser.get("/console/oidc?next=/console/tenants/search")
    assert seen.status == 200 and "ranker" in seen.text and ">anna</a>" in seen.text
    assert "Show the plan" in (await browser.get("/console/tenants/search/models/ranker")).text


async def test_a_way_back_belongs_to_the_browser_that_left_and_works_once(place: Place, issuer: TestIssuer):
    browser, other = place.browser(), place.browser()
    leaving = await browser.get("/console/oidc", follow=False)
    async with browser.session.get(leaving.headers["Location"], allow_redirects=False) as answer:
        back = answer.headers["Location"].removeprefix(browser.base)
    stranger = await other.get(back)
    assert stranger.status == 400 and "not begun here" in stranger.text
    late = await browser.get(back)
    assert late.status == 400, "a way back that was tried is used up"
    for query in ("", "?code=x&state=made-up", "?error=access_denied&state=made-up"):
        assert (await browser.get(f"/console/oidc/callback{query}")).status == 400


@pytest.mark.parametrize(
    ("changes", "said"),
    [({"nonce": "another"}, "not for this sign-in"), ({"aud": "elsewhere"}, "Audience"), ({"exp": 1}, "expired")],
)
async def test_a_token_that_the_api_does_not_take_signs_nobody_in(place, issuer, changes: dict, said: str):
    issuer.changes = changes
    seen = await place.browser().get("/console/oidc")
    assert seen.status == 401 and said in seen.text, seen.text


async def test_what_the_issuer_refuses_is_said_as_text(place: Place):
    browser = place.browser()
    leaving = await browser.get("/console/oidc", follow=False)
    state = parse_qs(urlsplit(leaving.headers["Location"]).query)["state"][0]
    query = urlencode({"error": "access_denied", "error_description": "<script>alert(1)</script>", "state": state})
    seen = await browser.get(f"/console/oidc/callback?{query}")
    assert seen.status == 401 and "<script>alert" not in seen.text and "The issuer refused" in seen.text


async def test_an_issuer_that_is_away_leaves_the_token(place: Place, issuer: TestIssuer):
    issuer.is_away = True
    seen = await place.browser().get("/console/oidc?next=https://evil.example")
    assert seen.status == 503 and "cannot be reached" in seen.text and 'name="next" value="/console/"' in seen.text
