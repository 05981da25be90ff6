"""Git over HTTPS on loopback: git's own CGI program behind a server with a certificate and a password."""

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import trustme
from aiohttp import web

from tests.support.git_server import OWN
from tests.support.leftovers import mark

USER, TOKEN = "tidegate", "s3cret"
_BASIC = f"Basic {base64.b64encode(f'{USER}:{TOKEN}'.encode()).decode()}"


async def _answer(request: web.Request, folder: Path) -> web.Response:
    """Pass a request to `git http-backend` (RFC 3875)."""
    if request.headers.get("Authorization") != _BASIC:
        return web.Response(status=401, headers={"WWW-Authenticate": 'Basic realm="git"'})
    meta = {
        "GIT_PROJECT_ROOT": str(folder), "GIT_HTTP_EXPORT_ALL": "1", "REMOTE_USER": USER, "REMOTE_ADDR": "127.0.0.1",
        "PATH_INFO": request.path, "QUERY_STRING": request.query_string, "REQUEST_METHOD": request.method,
        "CONTENT_TYPE": request.headers.get("Content-Type", ""),
        "HTTP_CONTENT_ENCODING": request.headers.get("Content-Encoding", ""),
    }  # fmt: skip
    process = await asyncio.create_subprocess_exec(
        "git",
        "http-backend",
        env={**OWN, **mark(), **meta},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate(await request.read())
    head, _, body = out.partition(b"\r\n\r\n")
    headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
    status = int(headers.pop("Status", "200").split()[0])
    return web.Response(status=status, headers=headers, body=body)


@asynccontextmanager
async def git_over_https(folder: Path) -> AsyncIterator[tuple[str, Path]]:
    """Serve the repositories below a folder; yield the address to put their names behind, and a file with the
    authority to trust."""
    authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    trusted = folder / "authority.pem"
    authority.cert_pem.write_to_path(trusted)
    app = web.Application(client_max_size=2**26)

    async def answer(request: web.Request) -> web.Response:
        return await _answer(request, folder)

    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1, auto_decompress=False)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
        yield f"https://127.0.0.1:{runner.addresses[0][1]}", trusted
    finally:
        await runner.cleanup()
