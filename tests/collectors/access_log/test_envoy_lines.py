"""What a real Envoy logs of every kind of request, and what the engine makes of it."""

import asyncio
import copy
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from collectors.access_log.engine import Engine
from collectors.access_log.outcomes import OUTCOMES, outcome_of
from istio_templates.access_log.line_format import FIELDS, PATH_MAX
from istio_templates.facts import Manifest
from k8s_manager.standalone.translator.snapshot import snapshot
from tests.golden.case import rendered
from tests.support.envoy import EnvoyUnderTest, config_of, running_envoy
from tests.support.standalone import free_port
from tests.support.waiting import until

pytestmark = pytest.mark.xdist_group("envoy")
HOST = "search.models.example.com"
WITH_PODS = ("ranker", "web", "narrow", "dead")
GRPC = {"content-type": "application/grpc", "te": "trailers", "content-length": "0"}
PREFLIGHT = {"origin": "https://app.example.com", "access-control-request-method": "GET"}


class Site:
    """A gateway with all kinds of models behind it, and its log."""

    def __init__(self, envoy: EnvoyUnderTest, folder: Path) -> None:
        self.envoy, self._log = envoy, folder / "envoy.log"
        self.released = asyncio.Event()

    async def ask(self, path: str, method: str = "GET", host: str = HOST, **headers: str) -> int:
        reader, writer = await asyncio.open_connection(self.envoy.address, 8080)
        lines = [f"{method} {path} HTTP/1.1", f"host: {host}", "connection: close"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        writer.write(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))
        head = await reader.read()
        writer.close()
        return int(head.split()[1])

    async def leave(self, path: str) -> None:
        """Send a request and go away before its answer."""
        _, writer = await asyncio.open_connection(self.envoy.address, 8080)
        writer.write(f"GET {path} HTTP/1.1\r\nhost: {HOST}\r\n\r\n".encode())
        await writer.drain()
        await asyncio.sleep(0.2)
        writer.transport.abort()

    def lines(self) -> list[bytes]:
        return [line for line in self._log.read_bytes().splitlines(keepends=True) if line.startswith(b"{")]

    async def line_of(self, path: str, nth: int = 0) -> Manifest:
        """Return what is logged of the request for a path, as soon as it is."""

        async def found() -> Manifest | None:
            lines = [record for line in self.lines() if (record := json.loads(line))["path"] == path]
            return lines[nth] if len(lines) > nth else None

        return await until(found, what=f"the line of {path}")


@asynccontextmanager
async def served(folder: Path) -> AsyncIterator[Site]:
    async with running_envoy(folder) as envoy:
        site = Site(envoy, folder)

        async def model(request: web.Request) -> web.Response:
            if "wait" in request.path:
                await site.released.wait()
            status = next((int(text) for text in ("429", "400", "500") if text in request.path), 200)
            if "grpc" in request.query:
                headers = {"grpc-status": request.query["grpc"], "content-type": "application/grpc"}
                return web.Response(headers=headers)
            return web.Response(status=status, text="answer")

        app = web.Application()
        app.router.add_route("*", "/{rest:.*}", model)
        runner = web.AppRunner(app, handler_cancellation=True)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        port = runner.addresses[0][1]
        config = config_of(_with_one_token(rendered("access-log")))
        config.pods = [_pod(name) for name in WITH_PODS]
        config.endpoint_slices = [
            _endpoints(obj, free_port() if obj["metadata"]["name"] == "dead" else port)
            for obj in config.services
            if obj["metadata"]["name"] in WITH_PODS
        ]
        await envoy.load(snapshot(config, envoy.pod({"istio": "inference-gw"}, "inference-gw")))
        assert envoy.ads.rejections == [] and not config.omissions.found
        try:
            yield site
        finally:
            site.released.set()
            await runner.cleanup()


def _with_one_token(objects: list[Manifest]) -> list[Manifest]:
    """Return objects whose model `web` may be asked once and not again."""
    found = copy.deepcopy(objects)
    for obj in found:
        for patch in (obj.get("spec") or {}).get("configPatches") or ():
            limiter = patch["patch"]["value"].get("typed_config") or {}
            for descriptor in limiter.get("descriptors", ()):
                if descriptor["entries"][0]["value"].endswith("/web"):
                    descriptor["token_bucket"] = {"max_tokens": 1, "tokens_per_fill": 1, "fill_interval": "100000s"}
    return found


def _pod(name: str) -> Manifest:
    labels = {"app": name, "version": "v1", "tidegate.dev/model": name, "tidegate.dev/version": "v1"}
    return {"kind": "Pod", "metadata": {"name": name, "namespace": "search", "labels": labels}}


def _endpoints(service: Manifest, port: int) -> Manifest:
    name = service["metadata"]["name"]
    return {
        "kind": "EndpointSlice",
        "metadata": {"namespace": "search", "labels": {"kubernetes.io/service-name": name}},
        "ports": [{"name": found.get("name"), "port": port} for found in service["spec"]["ports"]],
        "endpoints": [
            {
                "addresses": ["127.0.0.1"],
                "conditions": {"ready": True},
                "targetRef": {"namespace": "search", "name": name},
            }
        ],
    }


CASES = {
    "/ranker/a?token=secret": ("ok", 200),
    "/ranker/400": ("clientError", 400),
    "/ranker/429": ("upstreamLimited", 429),
    "/ranker/500": ("serverError", 500),
    "/ranker/grpc?grpc=13": ("serverError", 200),
    "/ranker/grpc8?grpc=8": ("upstreamLimited", 200),
    "/ranker/grpc5?grpc=5": ("clientError", 200),
    "/ranker/wait": ("timeout", 504),
    "/lonely": ("noHealthyReplica", 503),
    "/dead": ("upstreamFailure", 503),
    "/cold": ("closed", 503),
    "/web": ("ok", 200),
    "/web/more": ("limited", 429),
    "/nowhere": ("noRoute", 404),
}


def outcome(line: Manifest) -> str:
    return outcome_of(line["status"], line["flags"], line["details"] or "", line["grpc_status"])


async def test_each_kind_of_request_has_its_outcome(tmp_path):
    async with served(tmp_path) as site:
        await until(lambda: _answers(site), what="the model behind Envoy")
        for path, (expected, status) in CASES.items():
            how = {"method": "POST", **GRPC} if "grpc" in path else {}
            assert await site.ask(path, **how) == status, path
            line = await site.line_of(path.partition("?")[0])
            assert outcome(line) == expected, line
            assert line.keys() == {"schema", "gateway", *FIELDS} and line["gateway"] == "shared"
            if expected != "noRoute":
                assert line["route"].startswith(f"search.{path.split('/')[1]}.")
        limited = await site.line_of("/web/more")
        assert "|v1|" in limited["cluster"], "the version is chosen before the limit is asked"
        await _rarer_ones(site)
        _nothing_private(site)
        await _rows_equal_what_was_asked(site)


async def _answers(site: Site) -> bool:
    return await site.ask("/ranker/up") == 200


async def _rarer_ones(site: Site) -> None:
    assert await site.ask("/web/grpc", method="POST", **GRPC) == 200, "a refusal over gRPC has the status 200"
    assert outcome(await site.line_of("/web/grpc")) == "limited"
    assert await site.ask("/web/preflight", method="OPTIONS", **PREFLIGHT) == 200
    assert outcome(await site.line_of("/web/preflight")) == "preflight"
    first = asyncio.ensure_future(site.ask("/narrow/wait"))
    await until(lambda: _is_full(site), what="the first request at the model")
    assert await site.ask("/narrow/second") == 503
    assert outcome(await site.line_of("/narrow/second")) == "circuitBreaker"
    await site.leave("/ranker/wait/gone")
    assert outcome(await site.line_of("/ranker/wait/gone")) == "clientGone"
    site.released.set()
    assert await first == 200
    hostile = '/ranker/%22%0a\\"{}' + "é" * PATH_MAX
    await site.ask(hostile)
    line = json.loads(site.lines()[-1])
    assert line["path"] is None or line["path"].startswith('/ranker/%22%0a\\"{}'), line


async def _is_full(site: Site) -> bool:
    found = await site.envoy.stats("cluster.outbound.*narrow.*upstream_rq_active")
    return sum(found.values()) == 1


def _nothing_private(site: Site) -> None:
    text = b"".join(site.lines())
    assert b"secret" not in text, "query strings are not logged"
    probe = [line for line in site.lines() if b"tidegate.shared.probe" in line]
    assert not probe


async def _rows_equal_what_was_asked(site: Site) -> None:
    engine, lines = Engine(), site.lines()
    rows = [*engine.feed("gw-0", lines), *engine.end("gw-0")]
    assert engine.counts.dropped == engine.counts.foreign == 0
    for level in ("platform", "gateway"):
        assert sum(row.requests for row in rows if row.key.place.level == level) == len(lines)
    of_models: dict[str, dict[str, int]] = {}
    for row in rows:
        if row.key.place.level == "model":
            counts = of_models.setdefault(row.key.place.model, dict.fromkeys(OUTCOMES, 0))
            for name, count in zip(OUTCOMES, row.counts, strict=True):
                counts[name] += count
    assert of_models["web"] == dict.fromkeys(OUTCOMES, 0) | {"ok": 1, "limited": 2, "preflight": 1}
    assert of_models["cold"]["closed"] == of_models["lonely"]["noHealthyReplica"] == 1
    assert of_models["narrow"]["ok"] == of_models["narrow"]["circuitBreaker"] == 1


async def test_the_probe_is_not_logged_and_who_claims_to_be_one_is(tmp_path):
    objects = rendered("access-log")
    (found,) = [obj for obj in objects if obj["metadata"]["name"] == "tidegate-shared-probe"]
    secret = found["spec"]["http"][0]["match"][0]["headers"]["x-tidegate-probe"]["exact"]
    async with served(tmp_path) as site:
        assert await site.ask("/probe", host="probe.tidegate.internal", **{"x-tidegate-probe": secret}) == 204
        assert await site.ask("/claimed", **{"x-tidegate-probe": "mine"}) == 404
        await site.line_of("/claimed")
        assert [json.loads(line)["path"] for line in site.lines()] == ["/claimed"]
