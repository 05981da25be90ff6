"""What goes wrong between a plan and its confirmation: the outcome is that of the run without fault, or the page says
that it was not done, and nothing is written twice."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import Any

import aiohttp
import pytest

from k8s_manager.kube.client import KubeClient
from k8s_manager.kube.errors import Unavailable
from tests.features.conftest import make_search
from tests.k8s_manager.console.conftest import Browser, Seen
from tests.support.bounds import hung
from tests.support.fleet import SETTINGS, Fleet
from tests.support.waiting import until

RANKER = "/console/tenants/search/models/ranker"
WANTED = 5
Written = tuple[int, int]


class FaultyClient(KubeClient):
    """A transport that the test cuts: `is_away` for every call, `loses` for the answer of the next write of a model."""

    is_away = loses = False

    async def call(self, method: str, path: str, what: str, *more: Any) -> Any:
        if self.is_away:
            raise Unavailable(f"{what}: the API server does not answer")
        answer = await super().call(method, path, what, *more)
        if self.loses and method != "GET" and path.split("?")[0].endswith("/models/ranker") and "dryRun" not in path:
            self.loses = False
            raise Unavailable(f"{what}: the answer was lost")
        return answer


@asynccontextmanager
async def browser_of(fleet: Fleet, manager: Any, session: aiohttp.ClientSession) -> AsyncIterator[Browser]:
    """A browser at a manager's console, not signed in unless the session is of that manager."""
    async with fleet.rest(manager) as rest:
        yield Browser(str(rest._session._base_url).rstrip("/"), session)


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as found:
        yield found


async def written(fleet: Fleet) -> Written:
    """Return how many specs the model has had, and its replicas."""
    found = await fleet.get("Model", "ranker", "search")
    assert found is not None
    return found["metadata"]["generation"], found["spec"]["versions"][0]["workload"]["replicas"]


async def planned(browser: Browser) -> dict[str, str]:
    """Return the form that confirms a plan to scale the model."""
    csrf = (await browser.get(RANKER)).form("/sign-out")["csrf"]
    seen = await browser.send(f"{RANKER}/scale", {"csrf": csrf, "version": "v1", "replicas": str(WANTED)})
    assert seen.status == 200, seen.text
    return seen.form("/apply")


async def confirmed(browser: Browser, form: dict[str, str]) -> None:
    """Confirm a plan; where the page says that it is out of date, the one that it shows instead."""
    seen = await browser.send("/console/apply", form)
    if "Not applied" in seen.text:
        seen = await browser.send("/console/apply", seen.form("/apply"))
    assert seen.status == 200 and "Done." in seen.text, seen.text


def is_refused(seen: Seen) -> bool:
    """Tell whether a page says that nothing was done, and why."""
    return seen.status >= 400 and 'role="alert"' in seen.text and "Done." not in seen.text


@asynccontextmanager
async def cut_site(fleet: Fleet, session: aiohttp.ClientSession) -> AsyncIterator[tuple[Browser, FaultyClient]]:
    """A manager whose transport the test cuts, with a model, and a browser that has signed in."""
    clients: list[FaultyClient] = []

    def connect(server: str, given: aiohttp.ClientSession) -> KubeClient:
        clients.append(FaultyClient(server, given))
        return clients[-1]

    async with fleet.manager(connect=connect) as manager, browser_of(fleet, manager, session) as browser:
        await make_search(fleet)
        await browser.sign_in()
        yield browser, clients[0]


async def test_a_manager_that_dies_after_the_plan_has_another_ask_for_the_sign_in_and_the_plan(fleet, session):
    async with fleet.manager() as manager, browser_of(fleet, manager, session) as browser:
        await make_search(fleet)
        await browser.sign_in()
        form = await planned(browser)
    generation, replicas = before = await written(fleet)
    async with fleet.manager() as manager, browser_of(fleet, manager, session) as browser:
        seen = await browser.send("/console/apply", form)
        assert 'name="token"' in seen.text and await written(fleet) == before, "the session died with the manager"
        await browser.sign_in()
        seen = await browser.send("/console/apply", form)
        assert seen.status == 403 and "load the page again" in seen.text and await written(fleet) == before
        await confirmed(browser, await planned(browser))
        assert await written(fleet) == (generation + 1, WANTED) and replicas != WANTED


async def test_a_leader_that_changes_between_plan_and_confirmation_changes_nothing_of_it(fleet, session):
    def settings(identity: str) -> Any:
        return replace(SETTINGS, lease=("default", "tidegate"), identity=identity, lease_seconds=hung() / 20)

    async with AsyncExitStack() as first:
        await first.enter_async_context(fleet.manager(settings("one")))
        await make_search(fleet)
        await until(lambda: _leads(fleet, "one"), what="the first manager leading")
        async with fleet.manager(settings("two")) as other, browser_of(fleet, other, session) as browser:
            await browser.sign_in()
            generation, _ = await written(fleet)
            form = await planned(browser)
            await first.aclose()
            await until(lambda: _leads(fleet, "two"), what="the second manager leading")
            await confirmed(browser, form)
            assert await written(fleet) == (generation + 1, WANTED)
            seen = await browser.send("/console/apply", form)
            assert await written(fleet) == (generation + 1, WANTED), seen.text


async def _leads(fleet: Fleet, identity: str) -> bool:
    found = await fleet.get("Lease", "tidegate", "default") or {}
    return bool((found.get("spec") or {}).get("holderIdentity") == identity)


async def test_a_confirmation_whose_answer_is_lost_on_its_way_back_is_not_done_twice(fleet, session):
    async with cut_site(fleet, session) as (browser, client):
        generation, _ = await written(fleet)
        form = await planned(browser)
        client.loses = True
        lost = await browser.send("/console/apply", form)
        assert not client.loses and (is_refused(lost) or "Done." in lost.text), lost.text
        assert await written(fleet) == (generation + 1, WANTED)
        await until(lambda: _shows(browser, f'value="{WANTED}"'), what="the manager seeing what was written")
        again = await browser.send("/console/apply", form)
        assert again.status in (200, 409, 412) and await written(fleet) == (generation + 1, WANTED), again.text


async def _shows(browser: Browser, text: str) -> bool:
    return text in (await browser.get(RANKER)).text


@pytest.mark.parametrize("planned_before", [True, False])
async def test_while_the_api_server_is_away_a_page_is_read_and_a_write_is_refused_and_done_later(
    fleet, session, planned_before: bool
):
    async with cut_site(fleet, session) as (browser, client):
        generation, _ = before = await written(fleet)
        form = await planned(browser) if planned_before else {}
        client.is_away = True
        page = await browser.get(RANKER)
        assert page.status == 200 and "Why the limit is what it is" in page.text
        csrf = {"csrf": page.form("/sign-out")["csrf"]}
        asked = ("/console/apply", form) if planned_before else (f"{RANKER}/scale", csrf | _scaled())
        seen = await browser.send(*asked)
        client.is_away = False
        assert is_refused(seen) or not planned_before, seen.text
        assert await written(fleet) == before, "nothing was written"
        await confirmed(browser, form if planned_before else await planned(browser))
        assert await written(fleet) == (generation + 1, WANTED)


def _scaled() -> dict[str, str]:
    return {"version": "v1", "replicas": str(WANTED)}
