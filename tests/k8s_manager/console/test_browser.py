"""The console in a real browser: no error, no breach of its policy, no barrier, and what a person does in it."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from playwright.async_api import Browser, Route, expect

from tests.k8s_manager.console.conftest import Place
from tests.k8s_manager.console.test_pages import PAGES
from tests.support.bounds import hung
from tests.support.visitor import ABSENT, Visitor, launched
from tests.support.waiting import until

SIZES = {"desk": {"width": 1280, "height": 900}, "phone": {"width": 320, "height": 720}}


pytestmark = [pytest.mark.skipif(bool(ABSENT), reason=ABSENT), pytest.mark.xdist_group("chromium")]


@pytest.fixture
async def chromium() -> AsyncIterator[Browser]:
    async with launched() as browser:
        yield browser


async def visitor(chromium: Browser, place: Place, size: str = "desk", **options: Any) -> Visitor:
    context = await chromium.new_context(viewport=SIZES[size], **options)  # type: ignore[arg-type]
    return Visitor(context, await context.new_page(), place.browser().base)


@pytest.mark.parametrize(("size", "scheme"), [("desk", "light"), ("desk", "dark"), ("phone", "light")])
async def test_no_page_has_a_barrier_an_error_or_a_scroll_bar_below(chromium, place, size: str, scheme: str):
    person = await visitor(chromium, place, size, color_scheme=scheme)
    await person.page.goto(f"{person.base}/console/")
    assert await person.barriers() == []
    await person.sign_in()
    for path in PAGES:
        await person.show(path)
        assert await person.barriers() == [], path
        width = await person.page.evaluate("document.documentElement.scrollWidth")
        assert width <= SIZES[size]["width"], (path, width)
    assert person.complaints == []


async def test_a_model_is_scaled_by_keyboard_alone(chromium, place):
    person = await visitor(chromium, place)
    await person.sign_in()
    await person.show("tenants/search/models/ranker")
    field = person.page.get_by_role("textbox", name="Replicas")
    await field.focus()
    await field.fill("5")
    await person.page.keyboard.press("Enter")
    await expect(person.page.get_by_role("heading", level=1)).to_contain_text("Scale v1 to 5", timeout=hung() * 1000)
    reason = person.page.get_by_label("Why (for the history)")
    await reason.fill("a busy evening")
    await person.page.keyboard.press("Enter")
    await expect(person.page.get_by_text("Done.")).to_be_visible(timeout=hung() * 1000)
    found = await place.fleet.get("Model", "ranker", "search")
    assert found["spec"]["versions"][0]["workload"]["replicas"] == 5
    assert person.complaints == []


async def test_a_model_is_designed_and_checked_as_it_is_typed(chromium, place):
    person = await visitor(chromium, place)
    await person.sign_in()
    await person.show("tenants/search/design")
    page, draft = person.page, person.page.locator("#draft")
    for label, text in (("Name", "reranker"), ("Image", "example.com/r:1"), ("Path", "v2/reranker")):
        await page.get_by_label(label, exact=True).fill(text)
    await expect(page.locator("#problem-path")).to_contain_text("/", timeout=hung() * 1000)
    await page.get_by_label("Path", exact=True).fill("/v2/models/reranker")
    await expect(draft).to_contain_text("This document is sound", timeout=hung() * 1000)
    await expect(draft).to_contain_text("path: /v2/models/reranker", timeout=hung() * 1000)
    assert await page.locator("#problem-path").text_content() == ""
    await page.get_by_role("button", name="Show the plan").click()
    await page.get_by_role("button", name="Apply").click()
    await page.wait_for_url("**/models/reranker?done=1")
    assert person.complaints == []


async def test_what_is_typed_while_a_check_is_on_its_way_is_checked_after_it(chromium, place):
    person = await visitor(chromium, place)
    await person.sign_in()
    await person.show("tenants/search/design")
    page, asked, answered = person.page, asyncio.Event(), asyncio.Event()

    async def held(route: Route) -> None:
        asked.set()
        await answered.wait()
        await route.continue_()

    await page.route("**/design/check", held)
    name = page.get_by_label("Name", exact=True)
    await name.fill("re")
    async with asyncio.timeout(hung()):
        await asked.wait()
    heard = "document.querySelector('form.steps').addEventListener('htmx:trigger', () => done())"
    await page.evaluate(f"() => {{ window.triggered = new Promise(done => {heard}) }}")
    await name.fill("reranker")
    await page.evaluate("window.triggered")
    answered.set()
    await expect(page.locator("#draft")).to_contain_text("name: reranker", timeout=hung() * 1000)
    assert person.complaints == []


async def test_an_open_page_follows_what_happens_and_keeps_what_is_typed(chromium, place):
    person = await visitor(chromium, place)
    await person.sign_in()
    await person.show("tenants/search/models/ranker")
    await expect(person.page.locator("#line")).to_have_text("live", timeout=hung() * 1000)
    typed = person.page.get_by_label("Why", exact=True)
    await typed.fill("half a sen")
    body = {"total": 3, "reason": "seen live", "ttl": "1h"}
    status, _ = await place.rest.call("PUT", "/v1/tenants/search/models/ranker/limit/override", body)
    assert status == 201
    await expect(person.page.get_by_text("seen live").first).to_be_visible(timeout=hung() * 1000)
    assert await typed.input_value() == "half a sen"
    assert person.complaints == []


async def test_reading_and_writing_work_without_javascript(chromium, place):
    person = await visitor(chromium, place, java_script_enabled=False)
    await person.sign_in()
    await person.show("tenants/search/models/ranker")
    assert "Why the limit is what it is" in await person.page.content()
    await person.page.get_by_label("Why; callers get 503").fill("no script")
    await person.page.locator("form[action$='/pause'] button").click()
    await person.page.get_by_role("button", name="Apply").click()
    await person.page.wait_for_url("**done=1")
    found = await place.fleet.get("Model", "ranker", "search")
    assert found["spec"]["paused"] == "no script"


async def test_changes_are_filtered_without_javascript_and_the_address_keeps_the_filter(chromium, place):
    denied = {"Authorization": "Bearer as-owner"}
    assert (await place.rest.call("DELETE", "/v1/gateways/shared", None, denied))[0] == 403
    person = await visitor(chromium, place, java_script_enabled=False)
    await person.sign_in()
    await person.show("changes")
    await person.page.get_by_label("Who", exact=True).fill("owner")
    await person.page.get_by_label("Call ended").select_option("refused")
    await person.page.get_by_label("From (UTC)").fill("2001-01-01T00:00")
    await person.page.keyboard.press("Enter")
    await person.page.wait_for_url("**by=owner**")
    assert await person.page.locator("tbody tr").count() == 1
    assert "DELETE /v1/gateways/shared" in await person.page.locator("tbody").inner_text()
    assert await person.page.get_by_label("From (UTC)").input_value() == "2001-01-01T00:00"
    await person.page.get_by_role("link", name="Show all").click()
    await person.page.wait_for_url("**/console/changes")
    assert await person.page.locator("tbody tr").count() > 1


async def test_a_page_that_has_lost_its_line_shows_afterwards_what_it_has_missed(chromium, place):
    person = await visitor(chromium, place)
    await person.sign_in()
    lines = 0

    async def cut(route: Route) -> None:
        nonlocal lines
        lines += 1
        if lines > 1:
            await route.continue_()
            return
        body = {"total": 3, "reason": "written meanwhile", "ttl": "1h"}
        status, _ = await place.rest.call("PUT", "/v1/tenants/search/models/ranker/limit/override", body)
        assert status == 201
        await until(place.fleet.settled, what="everything that follows being written")
        said = "retry: 10\nid: of-another-manager-1\nevent: open\ndata: now\n\n"
        await route.fulfill(body=said, content_type="text/event-stream")

    await person.page.route("**/console/live?*", cut)
    await person.show("tenants/search/models/ranker")
    await expect(person.page.get_by_text("written meanwhile").first).to_be_visible(timeout=hung() * 1000)
    assert lines > 1


async def test_a_page_that_cannot_be_loaded_again_says_since_when_and_tries_again(chromium, place):
    person, path = await visitor(chromium, place), "tenants/search/models/ranker"
    await person.page.clock.install()
    await person.sign_in()
    await person.show(path)
    await expect(person.page.locator("#line")).to_have_text("live", timeout=hung() * 1000)
    await person.page.route(f"**/{path}", lambda route: route.fulfill(status=503, body="not now"))
    body = {"total": 3, "reason": "seen later", "ttl": "1h"}
    status, _ = await place.rest.call("PUT", "/v1/tenants/search/models/ranker/limit/override", body)
    assert status == 201
    await expect(person.page.locator("#line")).to_contain_text("not up to date since", timeout=hung() * 1000)
    await person.page.unroute(f"**/{path}")
    await person.page.clock.fast_forward(11_000)
    await expect(person.page.get_by_text("seen later").first).to_be_visible(timeout=hung() * 1000)
    await expect(person.page.locator("#line")).to_have_text("live", timeout=hung() * 1000)


async def test_a_page_whose_session_has_ended_keeps_what_it_shows_and_says_so(chromium, place):
    person = await visitor(chromium, place)
    await person.sign_in()
    await person.show("tenants/search/models/ranker")
    await expect(person.page.locator("#line")).to_have_text("live", timeout=hung() * 1000)
    await person.context.clear_cookies()
    place.manager.backend.events.publish("limit", "search/ranker", "limit is 3/s")
    await expect(person.page.locator("#line")).to_contain_text("signed out", timeout=hung() * 1000)
    await expect(person.page.get_by_text("Why the limit is what it is")).to_be_visible(timeout=hung() * 1000)


async def test_a_page_says_when_it_is_not_live_any_more(chromium, place):
    person = await visitor(chromium, place)
    await person.page.clock.install()
    await person.sign_in()
    await expect(person.page.locator("#line")).to_have_text("live", timeout=hung() * 1000)
    await person.context.set_offline(True)
    await person.page.clock.fast_forward(60_000)
    await expect(person.page.locator("#line")).to_contain_text("not live since", timeout=hung() * 1000)
