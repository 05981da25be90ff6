"""A log that is followed: what comes, who reads it, when it ends; and that it stays small in a real browser."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass

import aiohttp
import pytest
from playwright.async_api import expect

from k8s_manager.statistics import pod_logs
from tests.features.test_logs import WrittenLogs
from tests.features.test_logs import api as api_with_logs
from tests.k8s_manager.console import test_browser
from tests.k8s_manager.console.conftest import Browser
from tests.support.bounds import hung
from tests.support.fleet import TOKEN, Rest

in_a_browser, alone = test_browser.pytestmark
chromium = test_browser.chromium
PAGE = "/console/tenants/search/models/ranker/logs"


@dataclass(frozen=True, slots=True)
class LogSite:
    """A model of two pods, and a browser whose reader may do everything; `written` is what the pods have written."""

    rest: Rest
    logs: WrittenLogs
    browser: Browser
    pods: list[str]

    @property
    def base(self) -> str:
        return self.browser.base

    def write(self, text: str, pod: int = 0) -> None:
        self.logs.written[self.pods[pod]].append(f"2026-11-29T12:00:01Z {text}\n".encode())


@pytest.fixture
async def site(fleet, monkeypatch) -> AsyncIterator[LogSite]:
    monkeypatch.setattr(pod_logs, "LOOK", 0.05)
    async with api_with_logs(fleet) as (rest, logs, pods):
        logs.written = {pod: [] for pod in pods}
        base = str(rest._session._base_url).rstrip("/")
        async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
            browser = Browser(base, session)
            await browser.sign_in(TOKEN)
            yield LogSite(rest, logs, browser, pods)


async def word(line: aiohttp.ClientResponse) -> str:
    return (await line.content.readuntil(b"\n\n")).decode()


async def test_lines_come_as_they_are_written_and_not_after_the_sign_out(site):
    site.write("before")
    page = await site.browser.get(PAGE)
    assert "before" in page.text and f'data-source="{PAGE}/lines"' in page.text
    async with site.browser.session.get(f"{site.base}{PAGE}/lines?pod={site.pods[0]}") as line:
        assert line.content_type == "text/event-stream" and "event: begin" in await word(line)
        assert "before" in await word(line)
        site.write("of the other pod", pod=1)
        site.write("and then\u2028<b>")
        found = json.loads((await word(line)).removeprefix("data: "))
        assert found["line"] == "and then\u2028<b>" and found["pod"] == site.pods[0]
        await site.browser.send("/console/sign-out", page.form("/sign-out"))
        site.write("a secret")
        assert "secret" not in (await line.content.read()).decode(), "the session has ended, and the stream with it"


async def test_a_refusal_is_a_word_in_the_api_s_words(site, monkeypatch):
    monkeypatch.setattr(pod_logs, "MOST_FOLLOWERS", 0)
    async with site.browser.session.get(f"{site.base}{PAGE}/lines") as line:
        assert line.status == 200 and "event: begin" in await word(line)
        refused = await word(line)
        assert refused.startswith("event: refused\n") and "logs are followed through this manager already" in refused
        assert await line.content.read() == b""
    strangers = await Browser(site.base, site.rest._session).get(f"{PAGE}/lines", follow=False)
    assert strangers.status == 303, "who has not signed in follows nothing"


@in_a_browser
@alone
async def test_a_page_follows_keeps_few_lines_pauses_and_says_when_the_line_is_lost(chromium, site):
    context = await chromium.new_context(viewport=test_browser.SIZES["desk"])
    person = test_browser.Visitor(context, await context.new_page(), site.base)
    await person.sign_in()
    site.write("<img src=x onerror=document.title='broken'> is text")
    await person.page.goto(site.base + PAGE)
    state, rows, button = (person.page.locator(where) for where in ("#follow p", "#log tbody tr", "#follow button"))
    await expect(state).to_have_text("following", timeout=hung() * 1000)
    await expect(rows).to_have_count(1, timeout=hung() * 1000)
    site.write("a line that has just come")
    await expect(rows.last).to_contain_text("a line that has just come", timeout=hung() * 1000)
    assert "onerror=" in (await rows.first.inner_text()) and await person.page.title() == "Logs · Tidegate"
    assert await person.barriers() == []
    for number in range(1500):
        site.write(f"number {number}", pod=number % 2)
    await expect(person.page.locator("#log")).to_contain_text("number 1499", timeout=hung() * 1000)
    await expect(rows).to_have_count(1000, timeout=hung() * 1000)
    await button.click()
    await expect(state).to_have_text("paused", timeout=hung() * 1000)
    site.write("written meanwhile")
    await button.click()
    await expect(state).to_have_text("following", timeout=hung() * 1000)
    await expect(person.page.locator("#log")).to_contain_text("written meanwhile", timeout=hung() * 1000)
    assert person.complaints == []
    site.rest.stop.set()
    await expect(state).to_contain_text("the line to the manager is lost", timeout=hung() * 1000)
