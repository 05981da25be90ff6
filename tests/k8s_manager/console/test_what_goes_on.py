"""What the overview and a model's page say of what goes on: releases under way, where replicas run, why a limit
changed."""

import re

from istio_templates.facts import ObjectKey
from k8s_manager.console.pages.figures import sum_of
from k8s_manager.console.pages.fleet import release_under_way
from tests.features.test_release import document
from tests.support.documents import labels
from tests.support.waiting import until

API = "/v1/tenants/search/models/ranker"


def releases(text: str) -> str:
    """Return the overview's part about releases, without marks."""
    (found,) = re.findall(r"<h2>Releases under way</h2>(.*?)<h2>", text, re.DOTALL)
    return " ".join(re.sub(r"<[^>]+>", " ", found).split())


def test_a_release_that_has_ended_is_not_under_way():
    assert release_under_way({}) is release_under_way({"rollout": {}}) is None
    for phase, is_shown in (("Preparing", True), ("AwaitingApproval", True), ("Done", False), ("Aborted", False)):
        assert bool(release_under_way({"rollout": {"phase": phase}})) is is_shown, phase


def test_every_quantile_of_a_sum_is_the_largest():
    rows = [
        {"demand": 1, "admitted": 1, "limited": 0, "serverErrors": 0, "latency": {"p50": p50, "p95": p95, "p99": 9.0}}
        for p50, p95 in ((1.0, 7.0), (2.0, None))
    ]
    found = sum_of(rows, 60)
    assert (found.p50, found.p95, found.p99) == (2.0, 7.0, 9.0)


async def test_the_overview_lists_a_release_from_its_beginning_to_its_end(place, browser):
    assert releases((await browser.get("/console/")).text).startswith("None.")
    await place.fleet.apply(document("v2"))

    async def shown() -> str:
        return releases((await browser.get("/console/")).text)

    async def is_listed() -> bool:
        found = await shown()
        return "search/ranker : v1 to v2, 0 %, step 1 of" in found and "Preparing" in found

    await until(is_listed, what="the release on the overview")
    assert "search/ranker" not in (await _ads_overview(place))
    assert (await place.rest.call("PUT", f"{API}/release", {"action": "abort"}))[0] == 200

    async def is_gone() -> bool:
        return (await shown()).startswith("None.")

    await until(is_gone, what="the end of the release")


async def _ads_overview(place) -> str:
    grant = {"spec": {"role": "viewer", "users": ["stranger"], "tenants": ["ads"]}}
    await place.rest.call("PUT", "/v1/grants/of-ads", grant)
    reader = place.browser()
    await reader.sign_in("as-stranger")
    return (await reader.get("/console/")).text


async def test_a_replica_shows_its_node_and_a_change_of_the_limit_its_reason(place, browser):
    await place.fleet.pod("inference-gw", {"istio": "shared"})
    placed = {"metadata": {"name": "warm", "namespace": "search", "labels": labels()}, "spec": {"nodeName": "node-7"}}
    await place.fleet.client.create({"kind": "Pod", **placed})
    await place.fleet.set_ready(ObjectKey("Pod", "search", "warm"), True)

    async def text() -> str:
        return (await browser.get("/console/tenants/search/models/ranker")).text

    async def is_said() -> bool:
        return "limit is 20/s over 1 gateway pods: 1 warm replica serves 20/s" in await text()

    await until(is_said, what="the change with its reason")
    body = {"total": 5, "reason": "an incident", "ttl": "1h"}
    assert (await place.rest.call("PUT", f"{API}/limit/override", body))[0] == 201

    async def is_overridden() -> bool:
        return "limit is 5/s over 1 gateway pods: override 5/s by" in await text()

    await until(is_overridden, what="the override as the reason")
    assert '<td class="mono">node-7</td>' in await text()
