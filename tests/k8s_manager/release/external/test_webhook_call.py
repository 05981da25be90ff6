"""Calls of webhooks to a real receiver on loopback: what is sent, what is bounded, and where no connection is made."""

import asyncio
import socket
from collections.abc import Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver

from istio_templates.errors import Stalled, Transient
from istio_templates.text.web_address import WebAddress, forbidden_address
from k8s_manager.release.external.webhook_call import MOST_BYTES, WebhookCaller

HERE = "127.0.0.1"


class Answers(AbstractResolver):
    """Resolves any host to one list of addresses after the other, the last one for ever; `asked` counts."""

    def __init__(self, *answers: list[str]) -> None:
        self._answers, self.asked = answers, 0

    async def resolve(self, host, port=0, family=socket.AF_INET):
        found = self._answers[min(self.asked, len(self._answers) - 1)]
        self.asked += 1
        kind = {True: socket.AF_INET6, False: socket.AF_INET}
        return [
            {"hostname": host, "host": one, "port": port, "family": kind[":" in one], "proto": 0, "flags": 0}
            for one in found
        ]

    async def close(self) -> None:
        """Nothing is held."""


def only_here(address: str) -> str | None:
    """Stand in for the rule: the receiver of these tests is on loopback."""
    return None if address == HERE else "is another address"


@asynccontextmanager
async def receiver(handle: Callable):
    """Serve on loopback; yield the address that a document would name."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, HERE, 0)
    await site.start()
    port = site._server.sockets[0].getsockname()[1]
    try:
        yield WebAddress(f"http://gate.example.com:{port}/releases", "http", "gate.example.com", port)
    finally:
        await runner.cleanup()


def called(
    handle: Callable, resolver: Answers | None = None, forbids=only_here, body: bytes = b"{}", seconds: float = 10.0
) -> bytes:
    async def main() -> bytes:
        async with receiver(handle) as address:
            caller = WebhookCaller(None, lambda: resolver or Answers([HERE]), forbids, seconds)
            return await caller.post(address, body, {"webhook-id": "one"})

    return asyncio.run(main())


async def passes(request: web.Request) -> web.Response:
    return web.json_response({"result": "passed"})


def test_a_message_comes_as_it_was_signed():
    seen = []

    async def handle(request: web.Request) -> web.Response:
        seen.append((request.method, request.path, request.headers, await request.read()))
        return await passes(request)

    assert called(handle, body=b'{"id":"one"}') == b'{"result": "passed"}'
    ((method, path, headers, body),) = seen
    assert (method, path, body, headers["webhook-id"]) == ("POST", "/releases", b'{"id":"one"}', "one")
    assert headers["Host"].startswith("gate.example.com") and "Cookie" not in headers


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_redirect_is_followed(status):
    seen = []

    async def handle(request: web.Request) -> web.Response:
        seen.append(request.path)
        return web.Response(status=status, headers={"Location": "http://169.254.169.254/latest/meta-data"})

    with pytest.raises(Transient, match=f"redirects \\({status}\\), which is not followed"):
        called(handle)
    assert seen == ["/releases"]


@pytest.mark.parametrize("status", [204, 400, 401, 404, 500, 503])
def test_another_status_is_no_answer(status):
    async def handle(request: web.Request) -> web.Response:
        return web.Response(status=status, text='{"result": "passed"}' if status != 204 else None)

    with pytest.raises(Transient, match=f"gate.example.com answers {status}"):
        called(handle)


def test_an_answer_of_any_size_is_read_only_so_far():
    async def handle(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        for _ in range(100):
            await answer.write(b"x" * MOST_BYTES)
        return answer

    with pytest.raises(Transient, match=f"more than {MOST_BYTES} bytes"):
        called(handle)


def test_a_compressed_answer_is_not_unpacked():
    async def handle(request: web.Request) -> web.Response:
        assert request.headers["Accept-Encoding"] == "identity"
        return web.Response(body=b"\x1f\x8b packed", headers={"Content-Encoding": "gzip"})

    assert called(handle) == b"\x1f\x8b packed"


def test_a_slow_answer_is_given_up():
    async def handle(request: web.Request) -> web.Response:
        await asyncio.sleep(30)
        return await passes(request)

    with pytest.raises(Transient, match="does not answer within"):
        called(handle, seconds=0.2)


def test_a_receiver_that_is_away_is_named():
    async def main() -> None:
        with socket.socket() as taken:
            taken.bind((HERE, 0))
            port = taken.getsockname()[1]
        address = WebAddress(f"http://gate.example.com:{port}/", "http", "gate.example.com", port)
        await WebhookCaller(None, lambda: Answers([HERE]), only_here).post(address, b"", {})

    with pytest.raises(Transient, match=r"gate.example.com: Cannot connect"):
        asyncio.run(main())


@pytest.mark.parametrize(
    "found", [["127.0.0.1"], ["169.254.169.254"], ["::1"], ["::ffff:127.0.0.1"], ["203.0.113.1", "127.0.0.1"]]
)
def test_a_name_that_resolves_to_a_forbidden_address_is_not_connected_to(found):
    async def handle(request: web.Request) -> web.Response:
        raise AssertionError("a request came")

    with pytest.raises(Stalled, match=r"gate.example.com resolves to .* and is not called"):
        called(handle, Answers(found), forbidden_address)


def test_a_name_is_resolved_once_and_the_checked_address_is_the_one_that_is_connected_to():
    """What it resolves to the second time (DNS rebinding) counts for the next call alone, which is then refused."""
    resolver = Answers([HERE], ["127.0.0.2"])
    assert called(passes, resolver) == b'{"result": "passed"}'
    assert resolver.asked == 1
    with pytest.raises(Stalled, match=r"resolves to 127\.0\.0\.2"):
        called(passes, resolver)


def test_authorities_that_cannot_be_read_are_an_operators_affair(tmp_path):
    address = WebAddress("https://gate.example.com/", "https", "gate.example.com", 443)
    with pytest.raises(Stalled, match="--webhook-ca-file"):
        asyncio.run(WebhookCaller(tmp_path / "missing.pem").post(address, b"", {}))
