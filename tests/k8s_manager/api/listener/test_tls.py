"""The REST API over HTTPS, with a certificate that is renewed while it serves."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import aiohttp
import pytest
import trustme
from fastapi import FastAPI

from istio_templates.errors import Stalled
from k8s_manager.api.listener.server import serve
from k8s_manager.runtime.settings import ConnectionBounds, Tls
from tests.support.bounds import hung
from tests.support.standalone import free_port
from tests.support.waiting import until


@pytest.fixture
def app() -> FastAPI:
    app = FastAPI()
    app.get("/")(lambda: "here")
    return app


def write(authority: trustme.CA, folder, name: str, kind: trustme.KeyType = trustme.KeyType.ECDSA) -> Tls:
    made = authority.issue_cert("localhost", name, key_type=kind)
    tls = Tls(folder / "tls.crt", folder / "tls.key", every=0.05)
    made.private_key_pem.write_to_path(tls.key)
    tls.certificate.write_bytes(b"".join(blob.bytes() for blob in made.cert_chain_pems))
    return tls


async def serial(port: int, trusted: ssl.SSLContext) -> int:
    """Return the serial number of the certificate that a new connection gets, and make sure that it is served."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trusted, server_hostname="localhost")
    writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    assert b"200 OK" in await reader.read()
    shown = writer.get_extra_info("peercert")
    writer.close()
    return int(shown["serialNumber"], 16)


async def test_a_new_certificate_is_taken_and_a_broken_one_is_not(app, tmp_path):
    authority, trusted = trustme.CA(), ssl.create_default_context()
    authority.configure_trust(trusted)
    (tmp_path / "other").mkdir()
    port, stop = free_port(), asyncio.Event()
    tls = write(authority, tmp_path, "first.example.com")
    serving = asyncio.create_task(serve(app, ("127.0.0.1", port), stop, tls))

    async def answers():
        try:
            return await serial(port, trusted)
        except OSError:
            return None

    first = await until(answers, what="the API")
    tls.certificate.write_text("half a certifi")
    await asyncio.sleep(0.3)
    assert await serial(port, trusted) == first
    other = write(authority, tmp_path / "other", "other.example.com")
    tls.certificate.write_bytes(other.certificate.read_bytes())  # its key is not there yet
    await asyncio.sleep(0.3)
    assert await serial(port, trusted) == first
    tls.key.write_bytes(other.key.read_bytes())

    async def changed(last: int):
        return (found := await serial(port, trusted)) != last and found

    second = await until(lambda: changed(first), what="the new certificate")
    write(authority, tmp_path, "third.example.com", trustme.KeyType.RSA)
    await until(lambda: changed(second), what="one with another kind of key")
    with pytest.raises(aiohttp.ClientError):
        async with aiohttp.ClientSession() as session, session.get(f"http://localhost:{port}/"):
            pass
    stop.set()
    await serving


SOON = ConnectionBounds(most=6, most_of_an_address=4, head=0.2)
LATE = ConnectionBounds(most=6, most_of_an_address=4, head=hung())


@asynccontextmanager
async def served(app: FastAPI, folder: Path, bounds: ConnectionBounds) -> AsyncIterator[tuple[int, ssl.SSLContext]]:
    """Serve over HTTPS; yields the port, and what trusts it."""
    authority, trusted = trustme.CA(), ssl.create_default_context()
    authority.configure_trust(trusted)
    port, stop = free_port(), asyncio.Event()
    serving = asyncio.create_task(serve(app, ("127.0.0.1", port), stop, write(authority, folder, "a"), bounds))

    async def is_up() -> bool:
        return await is_served(port, trusted)

    await until(is_up, what="the API")
    yield port, trusted
    stop.set()
    await serving


async def is_served(port: int, trusted: ssl.SSLContext, address: str = "127.0.0.1") -> bool:
    """Tell whether a request from an address is answered; one connection too many is closed before its handshake."""
    place = {"ssl": trusted, "server_hostname": "localhost", "local_addr": (address, 0)}
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, **place)
        writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        answer = await reader.read()
        writer.close()
    except OSError:
        return False
    return b"200 OK" in answer


async def silent(port: int, address: str = "127.0.0.1") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Open a connection that says nothing."""
    return await asyncio.open_connection("127.0.0.1", port, local_addr=(address, 0))


@pytest.mark.parametrize("begun", [b"", b"\x16\x03\x01\x02\x00", b"GET / HTTP/1.1\r\n"], ids=["none", "half", "plain"])
async def test_who_does_not_finish_its_handshake_in_time_is_let_go(app, tmp_path, begun):
    async with served(app, tmp_path, SOON) as (port, _):
        reader, writer = await silent(port)
        writer.write(begun)
        async with asyncio.timeout(hung()):
            with suppress(ConnectionResetError):
                await reader.read()
        writer.close()


async def test_handshakes_of_one_address_cannot_keep_others_out(app, tmp_path):
    async with served(app, tmp_path, LATE) as (port, trusted):
        held = [await silent(port) for _ in range(4)]
        await until(lambda: _refuses(port, trusted, "127.0.0.1"), what="the fifth being refused")
        assert await is_served(port, trusted, "127.0.0.2")
        held += [await silent(port, "127.0.0.2") for _ in range(2)]
        await until(lambda: _refuses(port, trusted, "127.0.0.3"), what="the seventh being refused")
        for _, writer in held:
            writer.close()
        await until(lambda: is_served(port, trusted), what="places for others")


async def test_connections_beyond_their_handshake_do_not_count_as_handshakes(app, tmp_path):
    async with served(app, tmp_path, LATE) as (port, trusted):
        for _ in range(10):
            assert await is_served(port, trusted)


async def _refuses(port: int, trusted: ssl.SSLContext, address: str) -> bool:
    return not await is_served(port, trusted, address)


async def test_a_request_directly_behind_the_handshake_is_answered(app, tmp_path):
    async with served(app, tmp_path, LATE) as (port, trusted):
        for _ in range(20):
            assert b"200 OK" in await asyncio.to_thread(_at_once, port, trusted)


def _at_once(port: int, trusted: ssl.SSLContext) -> bytes:
    """Send the end of the handshake and the request in one piece."""
    secured, connection = _shaken(port, trusted, b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    with connection:
        while True:
            secured.incoming.write(connection.recv(65536))
            with suppress(ssl.SSLWantReadError):
                return secured.read(65536)


class Secured:
    """A client's end of TLS, apart from its connection."""

    def __init__(self, trusted: ssl.SSLContext) -> None:
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._object = trusted.wrap_bio(self.incoming, self.outgoing, server_hostname="localhost")
        self.do_handshake, self.read, self.write = self._object.do_handshake, self._object.read, self._object.write
        self.version = self._object.version


def _shaken(port: int, trusted: ssl.SSLContext, more: bytes = b"") -> tuple[Secured, socket.socket]:
    """Finish a handshake, and send more with its end."""
    secured = Secured(trusted)
    connection = socket.create_connection(("127.0.0.1", port), timeout=hung())
    while True:
        try:
            secured.do_handshake()
            break
        except ssl.SSLWantReadError:
            connection.sendall(secured.outgoing.read())
            secured.incoming.write(connection.recv(65536))
    if more:
        secured.write(more)
    connection.sendall(secured.outgoing.read())
    return secured, connection


async def test_one_connection_too_many_is_not_kept_by_a_client_that_says_nothing(app, tmp_path):
    async with served(app, tmp_path, LATE) as (port, trusted):
        held = [await opened(port, trusted) for _ in range(4)]
        secured, connection = await asyncio.to_thread(_shaken, port, trusted)
        connection.settimeout(hung())
        with connection, suppress(ConnectionResetError):
            while await asyncio.to_thread(connection.recv, 65536):  # neither 503 nor close_notify is answered
                pass
        assert secured.version()
        for _, writer in held:
            writer.close()


async def opened(port: int, trusted: ssl.SSLContext) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", port, ssl=trusted, server_hostname="localhost")


async def test_a_stop_ends_handshakes(app, tmp_path):
    async with served(app, tmp_path, LATE) as (port, _):
        reader, writer = await silent(port)
    async with asyncio.timeout(hung()):
        with suppress(ConnectionResetError):
            assert await reader.read() == b""
    writer.close()


async def test_a_port_that_is_taken_is_a_sentence(app):
    said = r"^127\.0\.0\.1:\d+ cannot be listened on \(Address already in use\); stop what listens there"
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(Stalled, match=said):
        await serve(app, taken.getsockname()[:2], asyncio.Event())
