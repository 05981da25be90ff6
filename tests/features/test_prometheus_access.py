"""A Prometheus behind TLS and a token, as both who ask it reach it, and what else may stand at its address."""

import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trustme
from aiohttp import web

from collectors.prometheus import Prometheus, SourceDown
from collectors.samples import Sample
from istio_templates.errors import Stalled
from k8s_manager.statistics.usage import prometheus_server
from k8s_manager.statistics.usage.metric_series import InstantSample
from k8s_manager.statistics.usage.prometheus_server import PrometheusAway, PrometheusServer
from tests.support.command import run_command
from tests.support.serving import serving

LABELS = {"namespace": "search", "deployment": "ranker-v1"}


@asynccontextmanager
async def behind_tls(authority: trustme.CA) -> AsyncIterator[str]:
    """Serve one series to who has the token; give the address."""

    async def answer(request: web.Request) -> web.Response:
        if request.headers.get("Authorization") != "Bearer secret":
            return web.Response(status=401, text="no")
        is_range = "[2m]" in request.query["query"]
        value: dict[str, Any] = {"values": [[1.0, "3"]]} if is_range else {"value": [time.time(), "3"]}
        data = {"resultType": "matrix" if is_range else "vector", "result": [{"metric": LABELS, **value}]}
        return web.json_response({"status": "success", "data": data})

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    app = web.Application()
    app.router.add_get("/prometheus/api/v1/query", answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    try:
        yield f"https://127.0.0.1:{runner.addresses[0][1]}/prometheus/"
    finally:
        await runner.cleanup()


async def test_its_certificate_is_checked_and_its_token_is_the_one_in_the_file_now(tmp_path: Path) -> None:
    authority, token, trusted = trustme.CA(), tmp_path / "token", tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(trusted)
    async with behind_tls(authority) as url:
        usage, replicas = PrometheusServer(url, token, trusted), Prometheus(url, token, trusted)
        with pytest.raises(Stalled, match="cannot be read: No such file"):
            await usage.instant("up")
        with pytest.raises(SourceDown, match="No such file"):
            await replicas.read()
        token.write_text("old")
        with pytest.raises(Stalled, match=r"refuses the manager \(401\); give --prometheus-token-file"):
            await usage.instant("up")
        with pytest.raises(SourceDown):
            await replicas.read()
        token.write_text("secret\n")
        (sample,) = await usage.instant("up")
        assert sample == InstantSample(LABELS, "3", sample.at) and sample.at is not None
        assert await replicas.read() == {("search", "ranker-v1"): Sample(3.0, 1.0)}

        with pytest.raises(PrometheusAway, match="certificate"):
            await PrometheusServer(url, token).instant("up")
        with pytest.raises(SourceDown):
            await Prometheus(url, token).read()
        trusted.write_text("nonsense")
        with pytest.raises(Stalled, match="give a right one"):
            await usage.instant("up")


async def test_an_answer_is_bounded_and_a_token_is_not_taken_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prometheus_server, "MOST_BYTES", 1000)
    (tmp_path / "token").write_text("secret")
    asked = []

    async def answer(request: web.Request) -> web.Response:
        asked.append(request.query["query"])
        if request.query["query"] == "long":
            return web.Response(text="x" * 2000)
        raise web.HTTPFound("/api/v1/query?query=elsewhere")

    async with serving("/api/v1/query", answer) as port:
        server = PrometheusServer(f"http://127.0.0.1:{port}", tmp_path / "token")
        with pytest.raises(PrometheusAway, match="more than 1000 bytes"):
            await server.instant("long")
        with pytest.raises(PrometheusAway, match="status 302"):
            await server.instant("short")
    assert asked == ["long", "short"]


@pytest.mark.parametrize("url", ["prometheus:9090", "ftp://prometheus", "http://", "http://host/?query=x"])
async def test_what_is_no_address_is_refused_at_the_start(url: str) -> None:
    code, _, error = await run_command("serve", "--prometheus", url, environment={"COLUMNS": "300"})
    assert code == 2 and "is no URL, such as http://prometheus.monitoring:9090" in error
