"""What a model sees of a request and what a web page sees of an answer, with a real Envoy before a real server."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from yarl import URL

from k8s_manager.standalone.translator.snapshot import snapshot
from tests.golden.case import rendered
from tests.support.envoy import EnvoyUnderTest, config_of, running_envoy
from tests.support.waiting import until

pytestmark = pytest.mark.xdist_group("envoy")
HOST, ALL = "search.models.example.com", "all.models.example.com"
PAGE = "https://app.example.com"
PREFLIGHT = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
ALLOWED = "access-control-allow-origin"


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: str


class Site:
    """An Envoy with the objects of the golden case, and the one server behind all its models."""

    def __init__(self, envoy: EnvoyUnderTest, session: aiohttp.ClientSession, asked: list[str]) -> None:
        self.envoy, self._session, self.asked = envoy, session, asked

    async def ask(self, path: str, host: str = HOST, method: str = "GET", **headers: str) -> Answer:
        url = URL(f"http://{self.envoy.address}:8080{path}", encoded=True)
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        async with self._session.request(method, url, headers={"Host": host, **sent}) as answer:
            found = {name.lower(): value for name, value in answer.headers.items()}
            return Answer(answer.status, found, await answer.text())

    async def counted(self) -> int:
        """Return how many requests the slots have seen."""
        return sum((await self.envoy.stats("http_local_rate_limit.enabled")).values())

    async def preflight(self, path: str, origin: str) -> Answer:
        return await self.ask(path, method="OPTIONS", Origin=origin, **PREFLIGHT)


@asynccontextmanager
async def served(folder: Path, pods: bool = True) -> AsyncIterator[Site]:
    asked: list[str] = []

    async def model(request: web.Request) -> web.Response:
        asked.append(f"{request.method} {request.host} {request.raw_path}")
        return web.Response(text=asked[-1], headers={"Access-Control-Allow-Origin": "*"})

    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", model)
    runner = web.AppRunner(app)
    await runner.setup()
    server = web.TCPSite(runner, "127.0.0.1", 0)
    await server.start()
    port = runner.addresses[0][1]
    objects = rendered("rewrite-and-cors")
    try:
        async with running_envoy(folder) as envoy, aiohttp.ClientSession(trust_env=False) as session:
            config = config_of(objects)
            config.pods = [pod(name) for name in ("chat", "web") if pods]
            config.endpoint_slices = [endpoints(obj, port) for obj in config.services if named(obj) in ("chat", "web")]
            await envoy.load(snapshot(config, envoy.pod({"istio": "inference-gw"}, "inference-gw")))
            assert envoy.ads.rejections == [] and not config.omissions.found
            site = Site(envoy, session, asked)

            async def answers() -> bool:
                return (await site.ask("/chat")).status == (200 if pods else 503)

            await until(answers, "the model behind Envoy")
            asked.clear()
            yield site
    finally:
        await runner.cleanup()


def named(obj: dict) -> str:
    return str(obj["metadata"]["name"])


def pod(name: str) -> dict:
    labels = {"app": name, "version": "v1", "tidegate.dev/model": name, "tidegate.dev/version": "v1"}
    return {"kind": "Pod", "metadata": {"name": name, "namespace": "search", "labels": labels}}


def endpoints(service: dict, port: int) -> dict:
    target = {"namespace": "search", "name": named(service)}
    return {
        "kind": "EndpointSlice",
        "metadata": {"namespace": "search", "labels": {"kubernetes.io/service-name": named(service)}},
        "ports": [{"name": found.get("name"), "port": port} for found in service["spec"]["ports"]],
        "endpoints": [{"addresses": ["127.0.0.1"], "conditions": {"ready": True}, "targetRef": target}],
    }


REWRITES = [
    ("/chat", "/v1/chat/completions"),
    ("/chat/", "/v1/chat/completions"),
    ("/chat/x/y", "/v1/chat/completions"),
    ("/chat?stream=true&a=/chat", "/v1/chat/completions?stream=true&a=/chat"),
    ("/chat/x%20y?q=%2F", "/v1/chat/completions?q=%2F"),
    ("/chat/%C3%A9", "/v1/chat/completions"),
    ("/llm/1.0", "/v1"),
    ("/llm/1.0/", "/v1/"),
    ("/llm/1.0/models?a=1", "/v1/models?a=1"),
    ("/llm/1.0/llm/1.0/x", "/v1/llm/1.0/x"),
    ("/llm/1.0//x", "/v1//x"),
    ("/strip", "/"),
    ("/strip?a=1", "/?a=1"),
    ("/strip/", "/"),
    ("/strip/a/strip/b", "/a/strip/b"),
    ("/named/x", "/named/x"),
]


async def test_a_model_sees_the_path_that_its_route_says(tmp_path):
    async with served(tmp_path) as site:
        for path, seen in REWRITES:
            answer = await site.ask(path)
            host = "llm.internal.example.com" if path.startswith(("/llm", "/named")) else HOST
            assert (answer.status, answer.body) == (200, f"GET {host} {seen}"), path
        for path in ("/chatter", "/chat2/x", "/llm/1x0", "/llm/1.01", "/llm", "/stripe", "/CHAT", "/chat%2Fx"):
            assert (await site.ask(path)).status == 404, path
        assert (await site.ask("/x?y", ALL)).body == f"GET {ALL} /v1/x?y"
        assert (await site.ask("/", ALL)).body == f"GET {ALL} /v1/"


async def test_preflights_reach_no_model_and_cost_no_tokens(tmp_path):
    async with served(tmp_path) as site:
        before = await site.counted()
        for origin in (PAGE, "https://a-b.dev.example.com", "https://test.example.com:8443"):
            for path in ("/web", "/web/deeper"):
                answer = await site.preflight(path, origin)
                assert (answer.status, answer.headers[ALLOWED]) == (200, origin)
                assert answer.headers["access-control-allow-methods"] == "GET,POST"
                assert answer.headers["access-control-allow-headers"] == "content-type,authorization"
                assert answer.headers["access-control-max-age"] == "600"
                assert answer.headers["access-control-allow-credentials"] == "true"
        for stranger in ("https://evil.example.net", "https://x.y.dev.example.com.evil.net", "null", "https://app.example.com.evil.net"):  # fmt: skip
            answer = await site.preflight("/web", stranger)
            assert answer.status == 200 and ALLOWED not in answer.headers, stranger
        assert site.asked == []
        assert await site.counted() == before, "no slot has seen a preflight"
        found = [(await site.ask("/web", Origin=PAGE)).status for _ in range(4)]
        assert found == [200, 200, 429, 429], "all tokens of the bucket were left"


async def test_a_page_reads_answers_and_refusals(tmp_path):
    async with served(tmp_path) as site:
        answers = [await site.ask("/web", Origin=PAGE) for _ in range(3)]
        assert [answer.status for answer in answers] == [200, 200, 429]
        for answer in answers:
            assert answer.headers[ALLOWED] == PAGE, "the gateway's origin, in place of the model's"
            assert answer.headers["access-control-expose-headers"] == "retry-after"
        assert answers[-1].headers["retry-after"] == "1"
        variant = await site.ask("/web", Origin=PAGE, x_variant="b")
        assert (variant.status, variant.headers[ALLOWED]) == (429, PAGE), "one limit, whatever the route"
        assert ALLOWED not in (await site.ask("/web", Origin="https://evil.example.net")).headers


async def test_a_page_reads_that_a_model_has_no_replica(tmp_path):
    async with served(tmp_path) as site:
        closed = await site.ask("/cold/x", Origin=PAGE)
        assert (closed.status, closed.headers[ALLOWED], closed.body) == (503, PAGE, "no replica is ready")
        assert (await site.preflight("/cold", PAGE)).headers[ALLOWED] == PAGE


async def test_a_page_reads_that_a_model_is_paused_and_others_do_not(tmp_path):
    async with served(tmp_path) as site:
        for origin in (PAGE, "https://a.dev.example.com"):
            for more in ({}, {"x_variant": "b"}):
                closed = await site.ask("/paused/x", Origin=origin, **more)
                assert (closed.status, closed.headers[ALLOWED], closed.body) == (
                    503,
                    origin,
                    "paused is paused: back at noon",
                )
                assert closed.headers["access-control-expose-headers"] == "x-request-id"
                assert closed.headers["access-control-allow-credentials"] == "true"
            granted = await site.preflight("/paused", origin)
            assert (granted.status, granted.headers[ALLOWED], granted.body) == (200, origin, "")
            assert granted.headers["access-control-allow-methods"] == "POST"
        before = await site.counted()
        assert (await site.preflight("/paused", PAGE)).status == 200 and await site.counted() == before
        odd = {"Access-Control-Request-Method": ""}
        assert (await site.ask("/paused", method="OPTIONS", Origin=PAGE, **odd)).status == 503
        for stranger in ("https://evil.example.net", "https://a.dev.example.com.evil.net"):
            refused, granted = await site.ask("/paused", Origin=stranger), await site.preflight("/paused", stranger)
            assert (refused.status, refused.body, granted.status) == (503, "paused is paused: back at noon", 200)
            assert ALLOWED not in refused.headers and ALLOWED not in granted.headers
        assert site.asked == []


async def test_a_page_reads_that_no_replica_is_there_while_the_route_is_open(tmp_path):
    async with served(tmp_path, pods=False) as site:
        answer = await site.ask("/web", Origin=PAGE)
        assert (answer.status, answer.headers[ALLOWED]) == (503, PAGE)
        assert (await site.preflight("/web", PAGE)).status == 200


async def test_options_that_are_no_preflight_are_the_models(tmp_path):
    async with served(tmp_path) as site:
        assert (await site.ask("/web", method="OPTIONS")).status == 200
        assert site.asked == [f"OPTIONS {HOST} /v1/web"]
