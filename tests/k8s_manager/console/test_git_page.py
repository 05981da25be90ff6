"""The page *Git* beside a tree that is applied: what was committed, what is applied, and what waits between the two."""

import re

import aiohttp

from tests.features.test_git_target import documented, server, settings, tree
from tests.k8s_manager.console.conftest import Browser
from tests.support import documents
from tests.support.waiting import until

__all__ = ["server", "tree"]


async def test_what_is_committed_and_not_applied_yet_is_out_of_step(fleet, server, tree):
    async with (
        fleet.manager(settings(server)) as manager,
        fleet.rest(manager) as rest,
        aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session,
    ):
        reader = Browser(str(rest._session._base_url).rstrip("/"), session)
        await reader.sign_in()
        await documented(fleet)
        await until(lambda: tree.has("tenants/search/ranker/destinationrule"), what="the commit")
        await tree.apply()
        await until(lambda: _says(reader, "Nothing: the cluster is as the tree says."), what="nothing out of step")

        async def is_the_same() -> bool:
            found = re.search(r"Committed (\w{12}) at .* Applied (\w{12})", await _text(reader))
            return found is not None and found[1] == found[2]

        await until(is_the_same, what="the commit that is applied")
        await fleet.apply(documents.model(trafficPolicy={"maxConnections": 77}))
        await until(lambda: _says(reader, "DestinationRule search/ranker"), what="the change that waits")
        await until(lambda: tree.has("tenants/search/ranker/destinationrule"), what="the second commit")

        async def is_applied() -> bool:
            await tree.apply()
            return await is_the_same() and await _says(reader, "Nothing: the cluster is as the tree says.")

        await until(is_applied, what="both in step again")


async def _says(reader: Browser, words: str) -> bool:
    return words in await _text(reader)


async def _text(reader: Browser) -> str:
    seen = await reader.get("/console/git")
    assert seen.status == 200, seen.text
    return " ".join(re.sub(r"<[^>]+>", " ", seen.text).split())
