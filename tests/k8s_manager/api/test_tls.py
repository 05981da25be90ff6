"""The REST API over HTTPS, with a certificate that is renewed while it serves."""

import asyncio
import ssl

import aiohttp
import pytest
import trustme
from fastapi import FastAPI

from k8s_manager.api.server import serve
from k8s_manager.runtime.settings import Tls
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
