"""The console as its users meet it: a browser at a real standalone, with Envoys, traffic and warm-up."""

import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Response, expect

from k8s_manager.api.authn.static_tokens import hashed
from tests.support.bounds import hung
from tests.support.bucket import admissible
from tests.support.issuer import TestIssuer, issuing
from tests.support.standalone import GATEWAY, HOST, QUICK, Running, offer, ranker, standalone
from tests.support.visitor import ABSENT, Visitor, launched
from tests.support.waiting import until

pytestmark = [
    pytest.mark.skipif(bool(ABSENT), reason=ABSENT),
    pytest.mark.xdist_group("standalone"),
    pytest.mark.asyncio(loop_scope="module"),
]
MODEL = "tenants/search/models/ranker"
SERVER = Path(__file__).parents[1] / "support" / "held_model.py"
PLAN = {
    "target": {"protocol": "oip-rest", "port": 8080, "model": "reranker"},
    "cases": [{"name": "typical", "inputs": {"features": {"dtype": "FP32", "shape": [-1, 4]}}}],
    "success": {"latency": {"max": "2s"}},
}


class Place:
    """A standalone with two tenants and a model each, its issuer, and a browser."""

    def __init__(self, run: Running, browser: Browser, issuer: TestIssuer) -> None:
        self.run, self.issuer, self._browser = run, issuer, browser
        self.base = run.link.split("/console/")[0]

    @asynccontextmanager
    async def visitor(self, token: str = "") -> AsyncIterator[Visitor]:
        """Return a browser window of its own, signed in where there is a token."""
        context = await self._browser.new_context(viewport={"width": 1280, "height": 900})
        person = Visitor(context, await context.new_page(), self.base)
        if token:
            await person.sign_in(token)
        yield person
        await context.close()

    @property
    def token(self) -> str:
        """The token of this standalone's operator."""
        return (self.run.folder / "token").read_text().strip()

    async def document(self, name: str = "ranker") -> dict[str, Any]:
        """Return a model of the tenant `search`."""
        _, found = await self.run.rest.call("GET", f"/v1/tenants/search/models/{name}")
        return dict(found)


class ChartReader:
    """The figures that a model's chart got, as the page itself has asked for them."""

    def __init__(self, person: Visitor, since: float = 0.0) -> None:
        self._since, self._columns = since, dict[str, list[Any]]()
        person.page.on("response", self._heard)

    async def _heard(self, answer: Response) -> None:
        if "/series?" in answer.url and answer.ok:
            self._columns = (await answer.json())["columns"]

    def count(self, name: str) -> int:
        """Return the requests of a kind since the beginning that the chart shows."""
        times = self._columns.get("time", [])
        steps = [after - before for before, after in pairwise(times)]
        rates = zip(times, steps + steps[-1:], self._columns.get(name, []), strict=True)
        return round(sum(step * rate for time, step, rate in rates if time + step > self._since))

    def last(self, name: str) -> Any:
        """Return the newest value of a column."""
        return self._columns.get(name, [None])[-1]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def place(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Place]:
    folder = tmp_path_factory.mktemp("console")
    people = [{"user": "olga", "groups": ["search-ml"], "sha256": hashed("as-olga")}]
    tokens = folder / "tokens.yaml"
    tokens.write_text(json.dumps({"tokens": people}))
    async with issuing() as issuer, launched() as browser:
        given = {
            "TIDEGATE_TOKENS_FILE": str(tokens),
            "TIDEGATE_OIDC_ISSUER": issuer.url,
            "TIDEGATE_CONSOLE_CLIENT": "tidegate",
        }
        async with standalone(folder / "state", **given) as run:
            await _make_tenants(run)
            yield Place(run, browser, issuer)


async def _make_tenants(run: Running) -> None:
    """Make a gateway, the tenants `search` and `ads`, and a model of each."""
    await run.put("/v1/gateways/shared", {"spec": {**GATEWAY["spec"], "managed": {"replicas": 1}}})
    for name, host in (("search", HOST), ("ads", "ads.models.example.com")):
        owners = [f"group:{name}-ml"]
        spec = {"gateway": {"name": "shared"}, "hosts": [{"name": host}], "owners": owners}
        await run.put(f"/v1/tenants/{name}", {"spec": spec})
    versions = [{**ranker(count)["spec"]["versions"][0], "name": f"v{3 - count}"} for count in (2, 1)]
    limit = {"perReplicaQps": 20, "debounce": QUICK}
    await run.put("/v1/tenants/search/models/ranker", ranker(versions=versions, rateLimit=limit))
    bidder = {"host": "ads.models.example.com", "path": "/", "port": 8080}
    await run.put("/v1/tenants/ads/models/bidder", ranker(0, routes=[bidder]))
    await run.gateways(1)


async def test_a_link_signs_in_and_a_designed_model_becomes_warm_before_the_readers_eyes(place: Place):
    await _make_plan(place.run)
    loaded = place.run.folder / "loaded"
    async with place.visitor() as person:
        page, chart = person.page, ChartReader(person)
        await page.goto(place.run.link)
        await person.sees("Overview", "h1")
        await page.get_by_role("link", name="Tenants").click()
        await page.get_by_role("link", name="search", exact=True).click()
        await page.get_by_role("link", name="Design a model").click()
        typed = {
            "Name": "reranker", "Path": "/v2/models/reranker", "Image": "example.com/reranker:1",
            "Replicas, where always as many": "2",
            "Command": f"python {SERVER} $(POD_IP):8080 {loaded}", "Readiness path": "/v2/health/ready",
            "Requests per second that one warm replica serves": "15",
            "For a plan: the name of its WarmupPlan": "reranker",
        }  # fmt: skip
        await page.get_by_label("A replica is warm").select_option(label="when a plan has proved it")
        for label, text in typed.items():
            await page.get_by_label(label, exact=True).fill("")
            await page.get_by_label(label, exact=True).press_sequentially(text)
        await person.sees("This document is sound", "#draft")
        await person.proposes(page.locator("form.steps"))
        await person.sees("Make search/reranker", "h1")
        await person.applies("the second stage")
        await page.evaluate("window.before = 'not loaded again'")
        assert chart.last("limit") != 30
        await expect(page.locator("#line")).to_have_text("live", timeout=hung() * 1000)
        rows = page.get_by_role("region", name="Replicas").locator("tbody tr")
        await expect(rows.filter(has_text="typical:")).to_have_count(2, timeout=hung() * 1000)
        assert await rows.filter(has_text="NotReady").count() == 2
        loaded.touch()
        await expect(rows.filter(has_text="Warm")).to_have_count(2, timeout=hung() * 1000)
        for figure in ("Ready replicas2", "Limit requests/s30"):
            await person.sees(figure, "dl.figures")
        await until(lambda: chart.last("limit") == 30, "the line of the limit having risen")
        assert await page.evaluate("window.before") == "not loaded again"
        assert person.complaints == []


async def _make_plan(run: Running) -> None:
    where = f"{run.kubernetes_server}/apis/tidegate.dev/v1alpha1/namespaces/search/warmupplans"
    headers = {"Authorization": "Bearer " + (run.folder / "kube-token").read_text().strip()}
    body = {
        "apiVersion": "tidegate.dev/v1alpha1",
        "kind": "WarmupPlan",
        "metadata": {"name": "reranker"},
        "spec": PLAN,
    }

    async def is_made() -> bool:
        async with run.session.post(where, json=body, headers=headers) as answer:
            return answer.status < 300

    await until(is_made, "the plan, in the tenant's namespace")


async def test_a_burst_beyond_the_limit_stands_on_the_live_chart_as_its_senders_counted_it(place: Place):
    run = place.run
    addresses = await _served(run)
    async with place.visitor(place.token) as person:
        chart = ChartReader(person, time.time())
        await person.show(MODEL)
        load = await offer(addresses, 120, 4)
        assert set(load.answers) == {200, 429} and not load.errors

        def arrived() -> bool:
            limited, demand = chart.count("limited"), chart.count("demand")
            assert limited <= load.answers[429] and chart.count("admitted") == demand - limited
            return limited == load.answers[429] and demand >= sum(load.answers.values())

        await until(arrived, "the chart showing every request of the burst")
        assert chart.last("limit") == 40
        legend = person.page.locator("#chart .u-legend").first
        assert [word in await legend.inner_text() for word in ("demand", "admitted", "limited", "limit")] == [True] * 4
        assert await person.page.locator("#chart canvas").count() == 2
        await person.show(f"{MODEL}/what-if?period=15m&perReplicaQps=5&replicas=2&gateways=1&most=10&warmUp=5s")
        await person.sees("Warm replicas1 to ", "dl.figures")  # of two, one went in the quiet before the burst
        assert await person.page.locator("#chart canvas").count() > 0
        for period in ("1h", "6h"):
            await person.show(
                f"{MODEL}/what-if?period={period}&perReplicaQps=5&replicas=2&gateways=1&most=10&warmUp=5s"
            )
            await person.sees("Warm replicas", "dl.figures")
            assert await person.page.locator("#chart canvas").count() > 0
        assert person.complaints == []


async def _served(run: Running) -> list[str]:
    """Return the gateway's addresses once the model `ranker` is served and limited there."""
    addresses = await run.gateways(1)
    await run.enforced(40)
    await until(lambda: run.serves(addresses), "a 200 from the gateway pod")
    return addresses


async def test_an_override_is_set_seen_enforced_and_ended(place: Place):
    run, why = place.run, "the feature store is slow"
    addresses = await _served(run)
    async with place.visitor(place.token) as person, place.visitor("as-olga") as other:
        await other.show(MODEL)
        await person.show(MODEL)
        form = person.page.locator("form[action$='/override']")
        for label, text in (("Requests per second", "8"), ("For", "10m"), ("Why", why)):
            await form.get_by_label(label, exact=True).fill(text)
        await person.proposes(form)
        await person.sees("Limit after requests/s8", "dl.figures")
        await person.applies()
        await other.sees(why, "#live")
        for path in ("", "overrides"):
            await person.show(path)
            await person.sees(why, "main")
        await run.enforced(8)
        load = await offer(addresses, 60, 3)
        least, most = admissible(load.sent.values(), 8)
        assert least <= load.answers[200] <= most and load.answers[429]
        await person.show(MODEL)
        await person.proposes(person.page.locator("form[action$='/override/end']"))
        await person.applies("the feature store is well again")
        await run.enforced(40)
        await expect(other.page.locator("#live dl.facts")).not_to_contain_text(why, timeout=hung() * 1000)
        assert person.complaints == other.complaints == []


async def test_traffic_is_moved_and_a_revision_gone_back_to(place: Place):
    async with place.visitor(place.token) as person:
        await person.show(MODEL)
        form = person.page.locator("form[action$='/traffic']")
        for label, share in (("v1, per cent", "60"), ("v2, per cent", "40")):
            await form.get_by_label(label).fill(share)
        await person.proposes(form)
        assert (await place.document())["spec"]["traffic"] == [{"version": "v1", "weight": 100}]
        await person.applies("v2 is as good")
        assert [one["weight"] for one in (await place.document())["spec"]["traffic"]] == [60, 40]
        await person.page.get_by_role("link", name="History").click()
        newest = person.page.get_by_role("region", name="Revisions").locator("tbody tr").first
        await expect(newest).to_contain_text("v2 is as good", timeout=hung() * 1000)
        await expect(newest).to_contain_text("holds now", timeout=hung() * 1000)
        await person.page.get_by_role("button", name="Back to revision").first.click()
        await person.sees("Go back to revision", "h1")
        await person.applies("v2 is not as good")
        assert (await place.document())["spec"]["traffic"] == [{"version": "v1", "weight": 100}]
        assert person.complaints == []


async def test_a_confirmation_that_comes_second_writes_nothing_and_shows_what_has_changed(place: Place):
    async with place.visitor(place.token) as slow, place.visitor("as-olga") as quick:
        for person, count in ((slow, "3"), (quick, "2")):
            await person.show(MODEL)
            await person.page.get_by_role("textbox", name="Replicas").last.fill(count)
            await person.proposes(person.page.locator("form[action$='/scale']").last)
        await quick.applies("a busy evening")
        written = await place.document()
        await slow.page.get_by_role("button", name="Apply").click()
        await slow.sees("Not applied", "[role=alert]")
        await slow.sees("-  replicas: 2", "pre.diff")
        await slow.sees("+  replicas: 3", "pre.diff")
        now = await place.document()
        assert [one["workload"]["replicas"] for one in now["spec"]["versions"]] == [2, 2]
        assert now["metadata"]["generation"] == written["metadata"]["generation"]
        await slow.applies("still more")
        assert [one["workload"]["replicas"] for one in (await place.document())["spec"]["versions"]] == [2, 3]
        assert quick.complaints == []
        assert [one for one in slow.complaints if "409" not in one] == []


HIDDEN = ("tenants/ads", "tenants/ads/design", *(
    f"tenants/ads/models/bidder{tail}" for tail in ("", "/series", "/history", "/logs", "/document", "/what-if")
))  # fmt: skip
OF_THE_FLEET = ("gateways", "gateways/shared", "git", "access")


async def test_an_engineer_of_one_tenant_sees_nothing_of_another(place: Place):
    async with place.visitor("as-olga") as person:
        for path in ("", "tenants", "tenants/search", MODEL, "overrides", "claims", "changes", "account"):
            await person.show(path)
            shown = await person.page.locator("body").inner_text()
            assert "ranker" in shown or "search" in shown or path in ("", "overrides", "changes"), (path, shown)
            assert "bidder" not in shown and "ads" not in shown.split(), (path, shown)
        for asked in ("ads", "ads.models.example.com", "group:ads-ml"):
            await person.page.get_by_role("searchbox", name="Find a tenant, a host or an owner").fill(asked)
            await person.page.keyboard.press("Enter")
            await person.sees("No tenant, host or owner is named so.", "main")
        names = await person.page.get_by_role("navigation", name="Pages").get_by_role("link").all_inner_texts()
        assert not {"Gateways", "Git", "Access"} & set(names)
        assert person.complaints == []
        for path in (*HIDDEN, *OF_THE_FLEET):
            answer = await person.page.goto(f"{place.base}/console/{path}")
            shown = await person.page.locator("body").inner_text()
            assert answer is not None and answer.status == (404 if path in HIDDEN else 403), (path, shown)
            assert "group:ads-ml" not in shown and "8080" not in shown, (path, shown)
        assert all("the server responded with a status of 40" in one for one in person.complaints)


async def test_a_person_signs_in_at_the_issuer_and_out_again(place: Place):
    async with place.visitor() as person:
        await person.show(MODEL)
        await person.page.get_by_role("link", name=f"Sign in at {place.issuer.url}").click()
        await person.page.wait_for_url(f"{place.base}/console/{MODEL}")
        await person.sees("anna", "a.who")
        await person.page.get_by_role("link", name="anna").click()
        await person.sees("search-ml", "main")
        await person.sees("tenantAdmin", "main")
        await person.page.get_by_role("button", name="Sign out").click()
        await person.sees("Token", "label")
        await person.show(MODEL)
        await person.page.wait_for_url("**/console/sign-in?**")
        assert person.complaints == []
