"""Whoever opens connections and says little is let go, and does not keep others out."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from fastapi import FastAPI, Request

from k8s_manager.api.listener.server import serve
from k8s_manager.runtime.settings import ConnectionBounds
from tests.support.waiting import until

SOON = ConnectionBounds(most=6, most_of_an_address=4, head=0.2, body=0.2, idle=1, head_bytes=2000, headers=10)
ENOUGH = "GET /x HTTP/1.1\r\nhost: a\r\n\r\n"


@asynccontextmanager
async def served(bounds: ConnectionBounds = SOON) -> AsyncIterator[int]:
    app = FastAPI()

    @app.api_route("/x", methods=["GET", "POST"])
    async def whole(request: Request) -> int:
        return len(await request.body())

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    stop = asyncio.Event()
    serving = asyncio.create_task(serve(app, ("127.0.0.1", port), stop, bounds=bounds))

    async def is_up() -> bool:
        try:
            return b"200 OK" in await said(port, ENOUGH.replace("host", "connection: close\r\nhost"))
        except OSError:
            return False

    await until(is_up, what="the server")
    yield port
    stop.set()
    await serving


async def said(port: int, *parts: str, address: str = "127.0.0.1") -> bytes:
    """Send parts of a request and return all that is answered until the other side closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(address, 0))
    for part in parts:
        writer.write(part.encode())
        await writer.drain()
    answer = await reader.read()
    writer.close()
    return answer


@pytest.mark.parametrize(
    "parts",
    [
        (),
        ("GET /x HT",),
        ("GET /x HTTP/1.1\r\nhost: a\r\nx-slow: ",),
        ("\r\n", "\r\n"),
        ("POST /x HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\n", "abc"),
        ("POST /x HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n", "1\r\na\r\n"),
    ],
    ids=["nothing", "line", "header", "blanks", "body", "chunks"],
)
async def test_who_does_not_say_what_is_wanted_in_time_is_let_go(parts):
    async with served() as port:
        assert b"408 Request Timeout" in await said(port, *parts)


async def test_half_a_request_behind_a_whole_one_holds_no_connection():
    async with served() as port:
        assert b"200 OK" in await said(port, ENOUGH, "GET /x HTTP/1.1\r\nhost")


async def test_a_request_without_end_of_its_headers_is_cut_at_a_size():
    async with served() as port:
        assert b"431 Request Header" in await said(port, "GET /x HTTP/1.1\r\nx: " + "a" * 3000)
        assert b"431 Request Header" in await said(port, "GET /x HTTP/1.1\r\n" + "a: b\r\n" * 20 + "\r\n")
        assert b"431 Request Header" in await said(port, "GET /x?" + "a" * 3000 + " HTTP/1.1\r\nhost: a\r\n\r\n")


async def test_one_address_cannot_take_the_connections_of_all():
    async with served(ConnectionBounds(most=6, most_of_an_address=4)) as port:
        held = [await asyncio.open_connection("127.0.0.1", port, local_addr=("127.0.0.1", 0)) for _ in range(4)]
        assert b"503 Service Unavailable" in await said(port, ENOUGH)
        quick = ENOUGH.replace("host", "connection: close\r\nhost")
        assert b"200 OK" in await said(port, quick, address="127.0.0.2")
        held += [await asyncio.open_connection("127.0.0.1", port, local_addr=("127.0.0.2", 0)) for _ in range(2)]
        assert b"503 Service Unavailable" in await said(port, quick, address="127.0.0.3")
        for _, writer in held:
            writer.close()

        async def is_let_in() -> bool:
            return b"200 OK" in await said(port, quick)

        await until(is_let_in, what="places for others")


async def test_an_answer_may_take_its_time_and_a_connection_is_used_again():
    async with served() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(3):
            writer.write(b"POST /x HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nab")
            head = await reader.readuntil(b"\r\n\r\n")
            assert b"200 OK" in head and await reader.readexactly(1) == b"2"
        writer.close()
