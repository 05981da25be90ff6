"""What a model's page shows of each version's requests."""

import re

import aiohttp

from istio_templates.facts import ObjectKey
from tests.features.test_statistics import LIMITED, api, collector_on, requests, token_file
from tests.k8s_manager.console.conftest import Browser
from tests.support.documents import model
from tests.support.fleet import TOKEN
from tests.support.standalone import free_port
from tests.support.waiting import until

__all__ = ["token_file"]
RANKER = "/console/tenants/search/models/ranker"
VERSIONS = [{"name": name, "workload": {"replicas": 2, "image": "example.com/ranker:1"}} for name in ("v1", "v2")]
TRAFFIC = [{"version": "v1", "weight": 90}, {"version": "v2", "weight": 10}]


def of_version(version: str, count: int, **values: object) -> list[bytes]:
    """Return lines of the last two minutes, one for each second: the minute that is counted lies among them."""
    cluster = f"outbound|8080|{version}|ranker.search.svc.cluster.local"
    return [requests(ago, cluster=cluster, **values) for ago in range(125, 0, -1) for _ in range(count)]


def row_of(text: str, version: str) -> list[str]:
    """Return the cells of a version's row."""
    (row,) = re.findall(rf'<tr><th scope="row">{version}</th>(.*?)</tr>', text, re.DOTALL)
    return re.findall(r"<td[^>]*>([^<]*)</td>", row)


async def test_each_version_of_several_has_its_demand_refusals_errors_and_latency(fleet, token_file):
    port = free_port()
    async with (
        collector_on(fleet, "127.0.0.1", port) as collector,
        api(fleet, token_file, port) as rest,
        aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session,
    ):
        browser = Browser(str(rest._session._base_url).rstrip("/"), session)
        await browser.sign_in(TOKEN)
        one = (await browser.get(RANKER)).text
        assert "Admitted/s" not in one, "a model of one version has the figures of the model"
        await fleet.client.delete(ObjectKey("Model", "search", "ranker"))
        await until(lambda: _is_gone(fleet), what="the model of one version being gone")
        await fleet.apply(model(versions=VERSIONS, traffic=TRAFFIC))
        await until(lambda: _of_two(browser), what="the status of two versions")
        lines = [*of_version("v1", 2), *of_version("v1", 2, **LIMITED), *of_version("v2", 1, status=503)]
        collector._keep(collector.engine.feed("gw/a", lines))
        text = await _of_two(browser)
        for version, shares in (("v1", ["50 %", "0 %"]), ("v2", ["0 %", "100 %"])):
            demand, admitted = map(float, row_of(text, version)[3:5])
            assert demand > 0 and row_of(text, version)[5:7] == shares, row_of(text, version)
            assert admitted < demand if version == "v1" else admitted == demand
        assert row_of(text, "v1")[7].endswith("ms") and row_of(text, "v1")[0] == "90 %"


async def test_each_arm_has_its_figures_beside_those_of_the_weights(fleet, token_file):
    port = free_port()
    matches = [{"name": "testers", "headers": {"x-arm": {"exact": "b"}}, "version": "v2"}]
    async with (
        collector_on(fleet, "127.0.0.1", port) as collector,
        api(fleet, token_file, port) as rest,
        aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session,
    ):
        browser = Browser(str(rest._session._base_url).rstrip("/"), session)
        await browser.sign_in(TOKEN)
        assert "Arm" not in (await browser.get(RANKER)).text, "a model without matches has no arms"
        await fleet.client.delete(ObjectKey("Model", "search", "ranker"))
        await until(lambda: _is_gone(fleet), what="the model of one version being gone")
        await fleet.apply(model(versions=VERSIONS, traffic=TRAFFIC, trafficMatches=matches))
        await until(lambda: _of_two(browser), what="the status of two versions")
        testers = of_version("v2", 1, route="search.ranker.0.testers", status=503)
        collector._keep(collector.engine.feed("gw/a", [*of_version("v1", 2), *of_version("v2", 1), *testers]))
        text = await _of_two(browser)
        rates = {name: float(row_of(text, name)[2]) for name in ("testers", "weights")}
        assert rates["testers"] > 0 and round(rates["weights"] / rates["testers"]) == 3
        assert row_of(text, "testers")[5] == "100 %" and row_of(text, "weights")[5] == "0 %"
        assert row_of(text, "weights")[1] == "v1 90 %, v2 10 %"
        assert row_of(text, "v2")[6] == "50 %", "a version counts all its arms together"


async def _is_gone(fleet) -> bool:
    return await fleet.get("Model", "ranker", "search") is None


async def _of_two(browser: Browser) -> str:
    seen = await browser.get(RANKER)
    return seen.text if seen.text.count('<tr><th scope="row">v') == 2 else ""
