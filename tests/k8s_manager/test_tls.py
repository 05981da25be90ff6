"""The REST API over HTTPS, with a certificate that is renewed while it serves."""

import asyncio
import ssl

import aiohttp
import pytest
import trustme
from fastapi import FastAPI

from k8s_manager.api.server import serve
from k8s_manager.settings import Tls
from tests.support.standalone import free_port
from tests.support.waiting import until


@pytest.fixture
def app() -> FastAPI:
    app = FastAPI()
    app.get("/")(lambda: "here")
    return app


def write(authority: trustme.CA, folder, name: str) -> Tls:
    made = authority.issue_cert("localhost", name)
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
    write(authority, tmp_path, "second.example.com")

    async def changed():
        return await serial(port, trusted) != first

    await until(changed, what="the new certificate")
    with pytest.raises(aiohttp.ClientError):
        async with aiohttp.ClientSession() as session, session.get(f"http://localhost:{port}/"):
            pass
    stop.set()
    await serving
