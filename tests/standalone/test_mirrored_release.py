"""A mirrored step with a real Envoy: who gets the copies, what callers see, and what Envoy counts and logs of it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from collectors import cluster_counters
from istio_templates import names
from k8s_manager.standalone.node.gateway import STATS_PORT
from k8s_manager.standalone.translator.snapshot import snapshot
from tests.golden.case import rendered
from tests.support.envoy import EnvoyUnderTest, config_of, running_envoy
from tests.support.waiting import until

pytestmark = pytest.mark.xdist_group("envoy")
HOST, PATH = "search.models.example.com", "/v2/models/ranker"
ADDRESSES = {"v1": "127.0.0.1", "v2": "127.0.0.2"}
V1, V2 = (names.cluster("search", "ranker", 8080, version) for version in ADDRESSES)
REQUESTS = 60
INF = float("inf")


class Versions:
    """A server for each version: what each was asked, and with which status it answers."""

    def __init__(self) -> None:
        self.asked: dict[str, list[str]] = {version: [] for version in ADDRESSES}
        self.status = dict.fromkeys(ADDRESSES, 200)

    @asynccontextmanager
    async def serve(self, version: str, port: int) -> AsyncIterator[int]:
        async def model(request: web.Request) -> web.Response:
            self.asked[version].append(f"{request.host} {await request.text()}")
            return web.Response(text=version, status=self.status[version])

        app = web.Application()
        app.router.add_route("*", "/{rest:.*}", model)
        runner = web.AppRunner(app)
        await runner.setup()
        try:
            await web.TCPSite(runner, ADDRESSES[version], port).start()
            yield int(runner.addresses[0][1])
        finally:
            await runner.cleanup()


@asynccontextmanager
async def mirroring(folder: Path, share: int) -> AsyncIterator[tuple[Versions, EnvoyUnderTest, aiohttp.ClientSession]]:
    """Run the golden case, with another share that is mirrored, before servers of both versions."""
    versions = Versions()
    async with AsyncExitStack() as stack:
        port = await stack.enter_async_context(versions.serve("v1", 0))
        await stack.enter_async_context(versions.serve("v2", port))
        envoy = await stack.enter_async_context(running_envoy(folder))
        session = await stack.enter_async_context(aiohttp.ClientSession(trust_env=False))
        config = config_of(rendered("mirrored-release"))
        for http in config.virtual_services[0]["spec"]["http"]:
            http["mirrors"][0]["percentage"]["value"] = share
        config.pods, config.endpoint_slices = [*map(pod, ADDRESSES)], [endpoints(config.services[0], port)]
        await envoy.load(snapshot(config, envoy.pod({"istio": "inference-gw"}, "inference-gw")))
        assert envoy.ads.rejections == [] and not config.omissions.found

        async def answers() -> bool:
            return await ask(envoy, session, "first") == (200, "v1")

        await until(answers, "the model behind Envoy")
        await until(lambda: share < 100 or versions.asked["v2"], "the first copy")
        for found in versions.asked.values():
            found.clear()
        yield versions, envoy, session


async def ask(envoy: EnvoyUnderTest, session: aiohttp.ClientSession, body: str) -> tuple[int, str]:
    url = f"http://{envoy.address}:8080{PATH}"
    async with session.post(url, data=body, headers={"Host": HOST}) as answer:
        return answer.status, await answer.text()


def pod(version: str) -> dict:
    labels = {"app": "ranker", "version": version, names.MODEL: "ranker", names.VERSION: version}
    return {"kind": "Pod", "metadata": {"name": version, "namespace": "search", "labels": labels}}


def endpoints(service: dict, port: int) -> dict:
    return {
        "kind": "EndpointSlice",
        "metadata": {"namespace": "search", "labels": {"kubernetes.io/service-name": "ranker"}},
        "ports": [{"name": found.get("name"), "port": port} for found in service["spec"]["ports"]],
        "endpoints": [
            {
                "addresses": [address],
                "conditions": {"ready": True},
                "targetRef": {"namespace": "search", "name": version},
            }
            for version, address in ADDRESSES.items()
        ],
    }


async def test_copies_have_host_and_body_of_the_request_and_their_failures_reach_no_caller(tmp_path: Path) -> None:
    async with mirroring(tmp_path, 100) as (versions, envoy, session):
        versions.status["v2"] = 500
        before = await cluster_counters.read(session, envoy.address, STATS_PORT, [V1, V2])
        limited = await envoy.stats("http_local_rate_limit.enabled")
        answers = [await ask(envoy, session, f"number {number}") for number in range(REQUESTS)]
        assert set(answers) == {(200, "v1")}
        await until(lambda: len(versions.asked["v2"]) == REQUESTS, "the copies")
        assert sorted(versions.asked["v2"]) == sorted(versions.asked["v1"])
        assert versions.asked["v2"][0].startswith(f"{HOST} number")
        after = await until(lambda: counted(envoy, session, before), "Envoy having counted the copies")
        assert before is not None
        stable, copies = (cluster_counters.increase(before[name], after[name]) for name in (V1, V2))
        assert (stable.completed, stable.server_errors, copies.server_errors) == (REQUESTS, 0, REQUESTS)
        assert copies.latency[INF] >= REQUESTS
        now = await envoy.stats("http_local_rate_limit.enabled")
        added = {now[name] - limited.get(name, 0) for name in now}
        assert added <= {0, REQUESTS}, "a limit counts each request once"


async def counted(
    envoy: EnvoyUnderTest, session: aiohttp.ClientSession, before: cluster_counters.ClusterCounts
) -> dict[str, cluster_counters.ClusterCounts]:
    found = await cluster_counters.read(session, envoy.address, STATS_PORT, [V1, V2]) or {}
    if not found:
        return {}
    # Envoy adds up histograms every five seconds, counters at once.
    done = found[V2].completed - before[V2].completed == REQUESTS <= found[V2].latency.get(INF, 0)
    return dict(found) if done else {}


async def test_a_share_of_the_requests_is_copied(tmp_path: Path) -> None:
    async with mirroring(tmp_path, 30) as (versions, envoy, session):
        for number in range(10 * REQUESTS):
            assert await ask(envoy, session, str(number)) == (200, "v1")
        await asyncio.sleep(0.5)
        assert 0.2 < len(versions.asked["v2"]) / len(versions.asked["v1"]) < 0.4
