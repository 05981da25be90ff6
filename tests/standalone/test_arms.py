"""Which version answers, by a real Envoy before real servers: matches first, then weights, drawn or by a hash."""

import re
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from istio_templates.facts import Manifest
from k8s_manager.standalone.translator.snapshot import snapshot
from tests.golden.case import rendered_text
from tests.support.envoy import ENVOYS, EnvoyUnderTest, config_of, running_envoy
from tests.support.waiting import until

pytestmark = pytest.mark.xdist_group("envoy")
HOST = "search.models.example.com"
CASES = Path(__file__).parent.parent / "golden" / "cases"
CALLERS = [f"user-{number}" for number in range(300)]


def case(name: str) -> str:
    """Return the documents of a golden case without its limit."""
    return (CASES / f"{name}.in.yaml").read_text().replace("  rateLimit: {perReplicaQps: 20}\n", "")


def weighted(v2: int, sticky: str = "{header: x-user-id}") -> str:
    """Return the documents of a model whose weights are sticky."""
    text = case("sticky-weights").replace("{header: x-user-id}", sticky)
    shares = ", ".join(
        f"{{version: {name}, weight: {weight}}}" for name, weight in (("v1", 100 - v2), ("v2", v2)) if weight
    )
    return re.sub(r"traffic: \[.*\]", f"traffic: [{shares}]", text)


class Site:
    """An Envoy before one server for each version, which answers with its name."""

    def __init__(self, envoy: EnvoyUnderTest, session: aiohttp.ClientSession, ports: Mapping[str, int]) -> None:
        self.envoy, self._session, self._ports = envoy, session, ports

    async def load(self, text: str) -> list[Manifest]:
        """Have Envoy run what is rendered of some documents, and return that."""
        objects = rendered_text(text)
        config = config_of(objects)
        config.pods = [pod(version) for version in self._ports]
        config.endpoint_slices = [endpoints(version, port) for version, port in self._ports.items()]
        await self.envoy.load(snapshot(config, self.envoy.pod({"istio": "inference-gw"}, "inference-gw")))
        assert self.envoy.ads.rejections == [] and not config.omissions.found
        await until(self._answers, "the model behind Envoy")
        return objects

    async def _answers(self) -> bool:
        return (await self.ask()).startswith("v")

    async def ask(self, **headers: str) -> str:
        """Return the version that answers."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        url = f"http://{self.envoy.address}:8080/v2/models/ranker/infer"
        async with self._session.get(url, headers={"Host": HOST, **sent}) as answer:
            return await answer.text()

    async def versions_of(self, callers: Iterable[str]) -> dict[str, str]:
        return {caller: await self.ask(x_user_id=caller) for caller in callers}


@asynccontextmanager
async def served(folder: Path, binary: str = "") -> AsyncIterator[Site]:
    runners: dict[str, web.AppRunner] = {}
    ports: dict[str, int] = {}
    try:
        for version in ("v1", "v2"):
            runners[version], ports[version] = await server_of(version)
        async with running_envoy(folder, binary) as envoy, aiohttp.ClientSession(trust_env=False) as session:
            yield Site(envoy, session, ports)
    finally:
        for runner in runners.values():
            await runner.cleanup()


async def server_of(version: str) -> tuple[web.AppRunner, int]:
    async def model(request: web.Request) -> web.Response:
        return web.Response(text=version)

    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", model)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    return runner, runner.addresses[0][1]


def pod(version: str) -> Manifest:
    labels = {"app": "ranker", "version": version, "tidegate.dev/model": "ranker", "tidegate.dev/version": version}
    return {"metadata": {"name": f"ranker-{version}", "namespace": "search", "labels": labels}}


def endpoints(version: str, port: int) -> Manifest:
    metadata: Any = {
        "name": f"ranker-{version}",
        "namespace": "search",
        "labels": {"kubernetes.io/service-name": "ranker"},
    }
    target = {"kind": "Pod", "name": f"ranker-{version}", "namespace": "search"}
    return {
        "metadata": metadata,
        "ports": [{"name": "http-8080", "port": port}],
        "endpoints": [{"addresses": ["127.0.0.1"], "conditions": {"ready": True}, "targetRef": target}],
    }


@pytest.mark.parametrize("version", ENVOYS)
async def test_what_a_request_carries_decides_before_the_weights(version: str, tmp_path):
    async with served(tmp_path, ENVOYS[version]) as site:
        await site.load(case("traffic-matches"))
        assert await site.ask() == "v1"
        assert await site.ask(x_arm="b", x_user="qa-7") == "v2"
        assert await site.ask(x_arm="b", x_user="other") == await site.ask(x_arm="b") == "v1", "all tests have to pass"
        assert await site.ask(x_arm="bb", x_user="qa-7") == "v1"
        for cookies in ("arm=v1.2", "a=1; arm=v1.2; z=2", "a=1;arm=v1.2"):
            assert await site.ask(Cookie=cookies) == "v2", cookies
        for cookies in ("arm=v1x2", "arm=v1.20", "charm=v1.2", "a=arm=v1.2x"):
            assert await site.ask(Cookie=cookies) == "v1", cookies


async def test_a_matched_version_without_a_warm_replica_leaves_its_requests_to_the_weights(tmp_path):
    async with served(tmp_path) as site:
        await site.load(case("traffic-matches").replace("search/ranker/v2: 1}", "search/ranker/v2: 0}\nwarm: true"))
        assert await site.ask(x_arm="b", x_user="qa-7") == "v1"
        await site.load(case("traffic-matches"))
        assert await site.ask(x_arm="b", x_user="qa-7") == "v2"


@pytest.mark.parametrize("version", ENVOYS)
async def test_callers_stay_and_move_in_one_direction_only(version: str, tmp_path):
    async with served(tmp_path, ENVOYS[version]) as site:
        before: dict[str, str] = dict.fromkeys(CALLERS, "v1")
        for weight in (5, 25, 50, 100):
            await site.load(weighted(weight))
            await until(lambda weight=weight: site_splits(site, weight), f"Envoy splitting at {weight}")
            now = await site.versions_of(CALLERS)
            assert [caller for caller in CALLERS if (before[caller], now[caller]) == ("v2", "v1")] == []
            share = list(now.values()).count("v2") / len(CALLERS)
            assert abs(share - weight / 100) < 0.1, f"{share:.0%} of the callers at a weight of {weight}"
            assert await site.versions_of(CALLERS[:50]) == {caller: now[caller] for caller in CALLERS[:50]}
            before = now


async def test_who_has_no_header_is_divided_by_chance(tmp_path):
    async with served(tmp_path) as site:
        await site.load(weighted(50))
        answers = [await site.ask() for _ in range(60)]
        assert set(answers) == {"v1", "v2"}


async def test_a_cookie_keeps_its_callers_too(tmp_path):
    async with served(tmp_path) as site:
        await site.load(weighted(50, "{cookie: {name: sid}}"))
        seen = {caller: {await site.ask(Cookie=f"a=1; sid={caller}") for _ in range(4)} for caller in CALLERS[:40]}
        assert all(len(versions) == 1 for versions in seen.values())
        assert {next(iter(versions)) for versions in seen.values()} == {"v1", "v2"}


async def site_splits(site: Site, weight: int) -> bool:
    """Tell whether Envoy runs the weights: at 100 no caller comes to v1 any more."""
    return weight < 100 or await site.ask() == "v2"
