"""`python -m scripts.screenshots [FOLDER]`: a picture of every page of the console, on a desk, in the dark, on a phone.

They are taken of a standalone with the demo and some traffic. Those of the docs are written into docs/pictures too.
"""

import asyncio
import contextlib
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
from playwright.async_api import Browser, async_playwright

from k8s_manager.standalone.demo.documents import HOST, MODEL_PATH

PROJECT = Path(__file__).parents[1]
PICTURES = PROJECT / "docs" / "pictures"
TRAFFIC = 100.0
"""Seconds of traffic before the pictures: the statistics show whole minutes."""
GATEWAY = "/v1/gateways/shared"
MODEL = "tenants/search/models/ranker"
PAGES = {
    "overview": "", "gateways": "gateways", "gateway": "gateways/shared", "tenants": "tenants",
    "tenant": "tenants/search", "design": "tenants/search/design", "what-if": f"{MODEL}/what-if?period=15m",
    "model": MODEL, "history": f"{MODEL}/history", "logs": f"{MODEL}/logs",
    "document": f"{MODEL}/document", "overrides": "overrides", "hosts": "claims", "changes": "changes", "git": "git",
    "doctor": "doctor", "access": "access", "account": "account",
}  # fmt: skip
LOOKS = {
    "desk": {"viewport": {"width": 1280, "height": 860}},
    "dark": {"viewport": {"width": 1280, "height": 860}, "color_scheme": "dark"},
    "phone": {"viewport": {"width": 320, "height": 700}},
}
SHOWN = {("desk", "overview"), ("desk", "model"), ("dark", "model"), ("desk", "plan")}
"""Pictures of the docs."""


@contextlib.asynccontextmanager
async def demo(folder: Path) -> AsyncIterator[tuple[str, str]]:
    """Run a standalone with the demo; give its address and token."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    words = ("-m", "k8s_manager.cli.main", "standalone", "--demo", "--state", str(folder), "--listen", address)
    running = await asyncio.create_subprocess_exec(sys.executable, *words, stdout=asyncio.subprocess.PIPE)
    try:
        assert running.stdout is not None
        async for line in running.stdout:
            if b"ready; Ctrl-C" in line:
                break
        else:
            raise SystemExit("the standalone did not start; its words stand above")
        yield f"http://{address}", (folder / "token").read_text().strip()
    finally:
        running.send_signal(signal.SIGINT)
        await running.wait()


async def ask(gateways: list[str], stop: asyncio.Event) -> None:
    """Send requests to the model, now more and now fewer than its limit."""
    async with aiohttp.ClientSession(trust_env=False) as session:
        number = 0
        while not stop.is_set():
            number += 1
            for gateway in gateways:
                with contextlib.suppress(aiohttp.ClientError):
                    async with session.get(f"http://{gateway}{MODEL_PATH}", headers={"Host": HOST}) as answer:
                        await answer.read()
            await asyncio.sleep(0.035 if number // 300 % 2 else 0.06)


async def take(browser: Browser, address: str, token: str, folder: Path) -> None:
    """Take all pictures."""
    for look, options in LOOKS.items():
        context = await browser.new_context(**options)  # type: ignore[arg-type]
        page = await context.new_page()
        await page.goto(f"{address}/console/")
        await page.screenshot(path=folder / f"{look}-sign-in.png")
        await page.get_by_label("Token").fill(token)
        await page.get_by_role("button", name="Sign in").click()
        for name, path in PAGES.items():
            await page.goto(f"{address}/console/{path}")
            await page.wait_for_timeout(1200)
            await page.screenshot(path=folder / f"{look}-{name}.png", full_page=(look, name) not in SHOWN)
        await page.goto(f"{address}/console/{MODEL}")
        await page.get_by_role("textbox", name="Replicas").fill("3")
        await page.locator("form[action$='/scale'] button").click()
        await page.screenshot(path=folder / f"{look}-plan.png", full_page=(look, "plan") not in SHOWN)
        await context.close()


async def pictures(state: Path, folder: Path) -> None:
    """Start a standalone in a folder, and take the pictures into another one."""
    async with demo(state) as (address, token), async_playwright() as play:
        headers, stop = {"Authorization": f"Bearer {token}"}, asyncio.Event()
        async with aiohttp.ClientSession(address, headers=headers) as session, session.get(GATEWAY) as answer:
            gateways = (await answer.json())["status"]["addresses"]
        asking = asyncio.create_task(ask(gateways, stop))
        await asyncio.sleep(TRAFFIC)
        chromium = shutil.which("chromium") or shutil.which("google-chrome")
        browser = await play.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        await take(browser, address, token, folder)
        await browser.close()
        stop.set()
        await asking


def main(folder: Path) -> None:
    """Take the pictures into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    PICTURES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as state:
        asyncio.run(pictures(Path(state), folder))
    for look, name in SHOWN:
        target = PICTURES / ("console-" + (name if look == "desk" else f"{name}-{look}") + ".png")
        shutil.copyfile(folder / f"{look}-{name}.png", target)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else ".cache/screenshots"))
