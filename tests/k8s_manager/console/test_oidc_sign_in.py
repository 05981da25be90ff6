"""Sign-in at an issuer: code with PKCE, bound to the browser that began it."""

import time
from collections.abc import AsyncIterator
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from k8s_manager.api.authn.key_fetch import fetcher
from k8s_manager.api.authn.oidc import Oidc
from k8s_manager.authz.issuer import Issuer
from k8s_manager.runtime.clock import SystemClock
from tests.features.conftest import make_search
from tests.k8s_manager.console.conftest import Place
from tests.support.documents import tenant
from tests.support.issuer import TestIssuer, issuing


@pytest.fixture
async def issuer() -> AsyncIterator[TestIssuer]:
    async with issuing() as found:
        yield found


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


async def test_only_scopes_that_the_issuer_knows_are_asked_for(place: Place, issuer: TestIssuer):
    issuer.scopes = ["openid", "profile", "email", "roles"]
    seen = await place.browser().get("/console/oidc?next=/console/tenants/search")
    assert seen.status == 200 and ">anna</a>" in seen.text, seen.text
    (asked,) = [one["scope"] for one in issuer.asked]
    assert asked == "openid profile email"


async def test_a_session_goes_on_with_another_token_where_the_issuer_renews_them(place: Place, issuer: TestIssuer):
    issuer.renews, issuer.changes, issuer.renewal = True, {"exp": int(time.time())}, {"groups": ["later"]}
    browser = place.browser()
    assert "Sign out" in (await browser.get("/console/oidc?next=/console/account")).text
    seen = await browser.get("/console/account")
    assert issuer.renewed == 1, "a token that holds for long is not renewed"
    assert "later" in seen.text and "search-ml" not in seen.text and "Sign out" in seen.text


@pytest.mark.parametrize("renewal", [{"sub": "eve"}, {"aud": "elsewhere"}, {"refused": True}])
async def test_a_session_ends_where_its_token_is_renewed_for_another_or_not_at_all(place, issuer, renewal: dict):
    issuer.renews, issuer.changes, issuer.renewal = True, {"exp": int(time.time())}, renewal
    issuer.takes_refresh = "refused" not in renewal
    seen = await place.browser().get("/console/oidc")
    assert 'type="password"' in seen.text and "Sign out" not in seen.text


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
