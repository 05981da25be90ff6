"""Sign-out at the issuer: the session here ends first and in any case, then the one there, and a way back."""

import re
from html import unescape

import pytest
from playwright.async_api import expect

from tests.k8s_manager.console.conftest import Browser, Place
from tests.k8s_manager.console.test_oidc_sign_in import issuer, place
from tests.support.bounds import hung
from tests.support.fleet import TOKEN
from tests.support.issuer import TestIssuer
from tests.support.visitor import ABSENT, Visitor, launched

__all__ = ["issuer", "place"]


async def sign_out(browser: Browser):
    page = await browser.get("/console/account")
    return await browser.send("/console/sign-out", page.form("/sign-out"))


async def test_a_sign_out_ends_the_session_here_and_then_at_the_issuer(place: Place, issuer: TestIssuer):
    browser = place.browser()
    await browser.get("/console/oidc?next=/console/account")
    cookie = browser.cookie()
    seen = await sign_out(browser)
    (where,) = re.findall(r'http-equiv="refresh" content="0;url=([^"]+)"', seen.text)
    assert unescape(where).startswith(f"{issuer.url}/end?of=fleet&") and "Sign out</button>" not in seen.text
    browser.session.cookie_jar.update_cookies({"tidegate-session": cookie})
    stolen = await browser.get("/console/account")
    assert 'type="password"' in stolen.text, "the session has ended here before the issuer was asked"
    async with browser.session.get(unescape(where)) as answer:
        back, text = answer.url, await answer.text()
    assert str(back) == f"{browser.base}/console/sign-in" and 'type="password"' in text
    (asked,) = issuer.ends
    assert asked["client_id"] == "tidegate"
    assert asked["post_logout_redirect_uri"] == f"{browser.base}/console/oidc/callback"


async def test_the_issuer_hears_of_the_last_id_token_that_it_gave(place: Place, issuer: TestIssuer):
    issuer.renews, issuer.changes = True, {"exp": 1}
    issuer.changes, issuer.renewal = {}, {"nonce": "renewed"}
    browser = place.browser()
    await browser.get("/console/oidc?next=/console/account")
    seen = await sign_out(browser)
    assert "id_token_hint=" in unescape(seen.text)


@pytest.mark.parametrize("trouble", ["away", "without one"])
async def test_an_issuer_that_cannot_end_sessions_keeps_nobody_signed_in_here(place, issuer, trouble: str):
    browser = place.browser()
    await browser.get("/console/oidc?next=/console/account")
    page = await browser.get("/console/account")
    issuer.is_away, issuer.has_end = trouble == "away", trouble != "without one"
    seen = await browser.send("/console/sign-out", page.form("/sign-out"))
    assert seen.status == 200 and 'type="password"' in seen.text and issuer.ends == []
    assert 'type="password"' in (await browser.get("/console/account")).text


async def test_a_token_that_was_pasted_is_signed_out_here_alone(place: Place, issuer: TestIssuer):
    browser = place.browser()
    await browser.sign_in(TOKEN)
    seen = await sign_out(browser)
    assert 'type="password"' in seen.text and "refresh" not in seen.text and issuer.ends == []


async def test_a_token_too_long_for_an_address_stays_out_of_it(place: Place, issuer: TestIssuer):
    issuer.changes = {"groups": ["search-ml", *(f"group-{number}" for number in range(500))]}
    browser = place.browser()
    await browser.get("/console/oidc?next=/console/account")
    seen = await sign_out(browser)
    assert "client_id=tidegate" in seen.text and "id_token_hint" not in seen.text


@pytest.mark.skipif(bool(ABSENT), reason=ABSENT)
@pytest.mark.xdist_group("chromium")
async def test_a_browser_is_led_through_the_issuer_and_back_under_the_policy(place: Place, issuer: TestIssuer):
    async with launched() as chromium:
        context = await chromium.new_context()
        person = Visitor(context, await context.new_page(), place.browser().base)
        await person.show("oidc?next=/console/account")
        await person.page.get_by_role("button", name="Sign out").click()
        await person.page.wait_for_url("**/console/sign-in")
        await expect(person.page.get_by_label("Token")).to_be_visible(timeout=hung() * 1000)
        assert len(issuer.ends) == 1 and person.complaints == []
