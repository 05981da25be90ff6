"""A person at a real browser, who hears of everything that the browser complains of."""

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.resources import files
from typing import Any

from playwright.async_api import Browser, BrowserContext, Locator, Page, async_playwright, expect

from tests.support.bounds import hung
from tests.support.fleet import TOKEN

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
ARGUMENTS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync")
AXE = files("axe_playwright_python").joinpath("axe.min.js").read_text()
RULES = "axe.run({runOnly: ['wcag2a', 'wcag2aa', 'wcag21aa', 'wcag22aa', 'best-practice']})"
ABSENT = "" if CHROMIUM or "CI" in os.environ else "Chromium is not installed; apt-get install chromium"
"""Why tests with a browser are skipped; empty where they run, also to fail in CI."""


@asynccontextmanager
async def launched() -> AsyncIterator[Browser]:
    """Run a browser until the block ends."""
    async with async_playwright() as play:
        browser = await play.chromium.launch(executable_path=CHROMIUM, args=list(ARGUMENTS), timeout=hung() * 1000)
        yield browser
        await browser.close()


class Visitor:
    """A person with a browser window; whatever the browser complains of is kept."""

    def __init__(self, context: BrowserContext, page: Page, base: str) -> None:
        self.context, self.page, self.base = context, page, base
        self.complaints: list[str] = []
        page.on("console", lambda message: self._heard(message.type, message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.set_default_timeout(hung() * 1000)
        page.set_default_navigation_timeout(hung() * 1000)

    def _heard(self, kind: str, text: str) -> None:
        if kind in ("error", "warning"):
            self.complaints.append(text)

    async def sign_in(self, token: str = TOKEN) -> None:
        await self.page.goto(f"{self.base}/console/")
        await self.page.get_by_label("Token").fill(token)
        await self.page.get_by_role("button", name="Sign in").click()
        await self.page.wait_for_url(f"{self.base}/console/")

    async def show(self, path: str) -> None:
        await self.page.goto(f"{self.base}/console/{path}")

    async def barriers(self) -> list[str]:
        """Return what axe finds on the page, each with where."""
        await self.page.evaluate(AXE)
        found: dict[str, Any] = await self.page.evaluate(RULES)
        return [f"{one['id']}: {one['nodes'][0]['html'][:120]}" for one in found["violations"]]

    async def proposes(self, form: Locator) -> None:
        """Ask for the plan of a form, by its button."""
        await form.get_by_role("button", name="Show the plan").click()
        await self.page.get_by_role("button", name="Apply").wait_for()

    async def applies(self, why: str = "") -> None:
        """Confirm the plan that is shown, and see that it was done."""
        if why:
            await self.page.get_by_label("Why (for the history)").fill(why)
        await self.page.get_by_role("button", name="Apply").click()
        await self.sees("Done.")

    async def sees(self, text: str, at: str = "body") -> None:
        """Wait until the page shows a text, without loading it again."""
        await expect(self.page.locator(at)).to_contain_text(text, timeout=hung() * 1000)
