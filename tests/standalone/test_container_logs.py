"""Logs of containers through the embedded API: since a moment, and of a file that is emptied while it is followed."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from k8s_manager.standalone.apiserver.errors import ApiError
from k8s_manager.standalone.apiserver.logs import logs
from k8s_manager.standalone.node import process as processes
from tests.support.bounds import hung
from tests.support.waiting import until

POD = {"metadata": {"name": "gw-0", "namespace": "gw"}, "spec": {"containers": [{"name": "istio-proxy"}]}}


@pytest.fixture
def log(tmp_path) -> Path:
    file = tmp_path / "gw_gw-0" / "istio-proxy.log"
    file.parent.mkdir()
    file.write_text("one\ntwo\n")
    return file


@asynccontextmanager
async def asked(log: Path, **query: str) -> AsyncIterator[aiohttp.ClientResponse]:
    async def answer(request: web.Request) -> web.StreamResponse:
        try:
            return await logs(request, log.parent.parent, POD)
        except ApiError as error:
            return web.Response(status=400, text=str(error))

    app = web.Application()
    app.router.add_get("/log", answer)
    runner = web.AppRunner(app, handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://127.0.0.1:{runner.addresses[0][1]}/log", params=query) as found,
        ):
            yield found
    finally:
        await runner.cleanup()


def moment(ago: float) -> str:
    return (datetime.now(UTC) - timedelta(seconds=ago)).strftime("%Y-%m-%dT%H:%M:%SZ")


async def test_a_log_that_is_older_than_asked_is_empty(log):
    async with asked(log, sinceTime=moment(60)) as found:
        assert await found.text() == "one\ntwo\n"
    os.utime(log, (0, 0))
    async with asked(log, sinceTime=moment(60)) as found:
        assert await found.text() == ""
    async with asked(log, sinceTime="yesterday") as found:
        assert found.status == 400 and "sinceTime yesterday is no moment" in await found.text()


async def test_a_large_log_is_emptied_and_who_follows_it_goes_on(log, monkeypatch):
    monkeypatch.setattr(processes, "LOG_EVERY", 0.05)
    monkeypatch.setattr(processes, "LOG_MAX", 10)
    async with asked(log, follow="true") as found:
        assert await found.content.readline() == b"one\n" and await found.content.readline() == b"two\n"
        with log.open("ab") as out:
            out.write(b"three\n")
            out.flush()
            assert await asyncio.wait_for(found.content.readline(), hung()) == b"three\n"
            bounding = asyncio.create_task(processes.bounded(log))
            await until(lambda: log.stat().st_size == 0, what="the log being emptied")
            bounding.cancel()
            await asyncio.sleep(0.7)  # two looks of who follows
            out.write(b"four\n")
            out.flush()
            assert await asyncio.wait_for(found.content.readline(), hung()) == b"four\n"
