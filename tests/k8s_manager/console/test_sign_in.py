"""Who gets in, for how long, and what a browser is told to keep to itself."""

import asyncio
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from istio_templates.errors import Transient
from k8s_manager.console.sessions import IDLE, LINK_HOLDS, LONGEST, MOST_OF_A_USER, Sessions, SessionToken
from k8s_manager.console.sign_in import wanted_page
from tests.support.fleet import TOKEN
from tests.support.waiting import until


class SetClock:
    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> float:
        return self.seconds

    def utc(self) -> datetime:
        return datetime.now(UTC)


def test_a_session_ends_after_a_while_without_a_call_and_in_any_case():
    clock = SetClock()
    sessions = Sessions(clock)
    name = sessions.begin(SessionToken("t"), "ann")
    for _ in range(int(LONGEST / IDLE)):
        clock.seconds += IDLE - 1
        assert sessions.find(name), clock.seconds
    clock.seconds = LONGEST
    assert sessions.find(name) is None
    other = sessions.begin(SessionToken("t"), "ann")
    seen = sessions.find(other)
    clock.seconds += IDLE + 1
    assert sessions.find(other) is None and seen is not None and seen.ended


async def test_a_token_that_ends_soon_is_renewed_once_and_a_failure_ends_the_session_with_the_token():
    clock, calls = SetClock(), list[float]()
    sessions = Sessions(clock)

    async def renew() -> SessionToken:
        calls.append(clock.seconds)
        await asyncio.sleep(0)
        if clock.seconds > 500:
            raise Transient("the issuer is away")
        return SessionToken(f"t{len(calls)}", 300, renew)

    name = sessions.begin(SessionToken("t", 300, renew), "ann")
    found = await sessions.renewed(name)
    assert found is not None and found.token == "t" and calls == []
    clock.seconds = 299
    assert [one.token for one in await asyncio.gather(*(sessions.renewed(name) for _ in range(5))) if one] == ["t1"] * 5
    assert calls == [299]
    clock.seconds = 580  # the issuer is away, and the token holds for some seconds
    assert await sessions.renewed(name) and await sessions.renewed(name) and calls == [299, 580]
    clock.seconds = 600
    assert await sessions.renewed(name) is None and found.ended


def test_one_user_has_so_many_sessions_and_another_keeps_its_own():
    sessions = Sessions(SetClock())
    kept = sessions.begin(SessionToken("t"), "bob")
    names = [sessions.begin(SessionToken("t"), "ann") for _ in range(MOST_OF_A_USER + 3)]
    assert len(set(names)) == len(names)
    assert [name for name in names if sessions.find(name)] == names[3:] and sessions.find(kept)


def test_a_link_signs_in_once_and_not_when_it_is_old():
    clock = SetClock()
    sessions = Sessions(clock)
    secret = sessions.link("t", "ann")
    assert (name := sessions.redeem(secret)) and sessions.find(name) and sessions.redeem(secret) is None
    late = sessions.link("t", "ann")
    clock.seconds += LINK_HOLDS
    assert sessions.redeem(late) is None and sessions.redeem("made-up") is None


@pytest.mark.parametrize(
    "given",
    [
        "https://evil.example", "//evil.example/console/", "/\\evil.example", "/console/../v1", "/console\\@evil",
        "javascript:alert(1)", "/v1/tenants", "/consolex", "\t//evil.example", "/console/\r\nSet-Cookie: a=b", "",
        "http:/console/", "http:///console/",
    ],
)  # fmt: skip
def test_only_pages_of_the_console_are_gone_back_to(given: str):
    assert wanted_page(given) == "/console/"


@given(st.text())
def test_whatever_is_asked_for_stays_in_the_console(text: str):
    assert wanted_page(text).startswith("/console") and not wanted_page(text).startswith("//")


def test_a_page_is_gone_back_to_with_its_query():
    assert wanted_page("/console/tenants?q=a&page=2") == "/console/tenants?q=a&page=2"


async def test_who_is_not_signed_in_is_asked_to_and_comes_back(place):
    browser = place.browser()
    seen = await browser.get("/console/tenants?q=sea")
    assert seen.status == 200 and 'name="next" value="/console/tenants?q=sea"' in seen.text
    wrong = await browser.send("/console/sign-in", {"token": "nothing", "next": "/console/"})
    assert wrong.status == 401 and "not known here" in wrong.text and 'type="password"' in wrong.text
    for token in ("", "a b\nc", "\u00e9", "x" * 20_000):
        assert (await browser.send("/console/sign-in", {"token": token})).status == 422
    there = await browser.send("/console/sign-in", {"token": TOKEN, "next": "/console/tenants?q=sea"})
    assert there.status == 200 and "<h1>Tenants</h1>" in there.text and 'value="sea"' in there.text


async def test_the_cookie_is_for_the_console_alone_and_for_no_script(place):
    seen = await place.browser().send("/console/sign-in", {"token": TOKEN, "next": "/console/"}, follow=False)
    cookie = seen.headers["Set-Cookie"]
    assert seen.status == 303 and "HttpOnly" in cookie and "SameSite=lax" in cookie and "Path=/console" in cookie
    behind = await place.browser().send(
        "/console/sign-in", {"token": TOKEN}, follow=False, **{"X-Forwarded-Proto": "https"}
    )
    assert "Secure" in behind.headers["Set-Cookie"]


async def test_signing_in_begins_another_session_and_signing_out_ends_it_wherever_its_cookie_is(place):
    browser, thief = place.browser(), place.browser()
    planted = {"Cookie": "tidegate-session=planted"}
    given = await browser.send("/console/sign-in", {"token": TOKEN, "next": "/console/"}, follow=False, **planted)
    assert "planted" not in given.headers["Set-Cookie"], "a session that was there before is not taken over"
    await browser.sign_in()
    first = browser.cookie()
    await browser.sign_in()
    assert browser.cookie() != first
    stolen = {"Cookie": f"tidegate-session={browser.cookie()}"}
    assert "Overview" in (await thief.get("/console/", **stolen)).text
    page = await browser.get("/console/")
    await browser.send("/console/sign-out", page.form("/sign-out"))
    for cookie in (stolen["Cookie"], f"tidegate-session={first}"):
        assert 'type="password"' in (await thief.get("/console/", Cookie=cookie)).text


async def test_a_link_from_the_api_signs_its_holder_in_once(place):
    status, made = await place.rest.call("POST", "/console/links")
    assert status == 201 and made["path"].startswith("/console/links/")
    browser = place.browser()
    assert "<h1>Overview</h1>" in (await browser.get(made["path"])).text
    again = await place.browser().get(made["path"])
    assert again.status == 410 and "used already" in again.text
    refused, problem = await place.rest.call("POST", "/console/links", headers={"Authorization": "Bearer no"})
    assert refused == 401 and problem["status"] == 401


async def test_a_token_that_is_taken_back_ends_its_sessions(place, tmp_path):
    browser = place.browser()
    await browser.sign_in("as-owner")
    (tmp_path / "tokens.yaml").write_text('{"tokens": []}')

    async def is_out() -> bool:
        return 'type="password"' in (await browser.get("/console/")).text

    await until(is_out, what="the session being over")
