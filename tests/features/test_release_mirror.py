"""Releases that begin with mirrored steps; in simulated time."""

import asyncio

import pytest

from istio_templates.facts import ObjectKey
from tests.features.conftest import is_programmed
from tests.features.test_release import BAD, add_replicas, ask, condition, document, passed, run, status, weights
from tests.support.direct_api import Cluster
from tests.support.documents import NAMESPACE, gateway, labels, model, tenant
from tests.support.served_requests import ServedRequests, VersionBehaviour, mirrors_of
from tests.support.waiting import until

MIRRORED = {"mayBeCalledTwice": True, "steps": [{"mirror": "10%"}, {"mirror": "50%"}, {"weight": 5}, {"weight": 50}]}
"""Four replicas each, so that one replica of the new version carries a quarter of the requests."""


def mirrors(cluster: Cluster) -> dict[str, int]:
    return mirrors_of(cluster.find("VirtualService", "ranker", "search"))


def shares(requests: ServedRequests) -> list[tuple[int, int]]:
    """Return the per cent of the requests, and of the copies, that v2 had, in their order, each once."""
    both = zip(requests.seen, requests.mirrors, strict=True)
    found = [(seen.get("v2", 0), mirrored.get("v2", 0)) for seen, mirrored in both]
    return [share for share, before in zip(found, [None, *found], strict=False) if share != before]


def test_a_good_version_gets_copies_first_and_then_requests():
    requests = ServedRequests()

    async def check(cluster: Cluster) -> None:
        await add_replicas(cluster, "v2")
        await cluster.apply(document("v2", **MIRRORED))
        await passed(cluster, lambda: mirrors(cluster) == {"v2": 10})
        await asyncio.sleep(30)
        held, reason, message = condition(cluster)
        assert (held, reason) == ("False", "Measuring") and "version v2 has 10 % mirrored for" in message
        await passed(cluster, lambda: mirrors(cluster) == {"v2": 50})
        assert status(cluster)["rollout"]["mirror"] == 50
        await passed(cluster, lambda: condition(cluster)[:2] == ("True", "Complete"))
        assert shares(requests) == [(0, 0), (0, 10), (0, 50), (5, 0), (50, 0), (100, 0)]

    run(check, requests)


@pytest.mark.parametrize("bad", [BAD, VersionBehaviour(latency=0.1)], ids=["errs", "slow"])
def test_a_version_that_fails_under_copies_is_blocked_before_any_caller_sees_it(bad: VersionBehaviour):
    requests = ServedRequests(behaviour={"v2": bad})

    async def check(cluster: Cluster) -> None:
        await add_replicas(cluster, "v2")
        await cluster.apply(document("v2", **MIRRORED))
        await passed(cluster, lambda: mirrors(cluster) == {"v2": 10})
        await passed(cluster, lambda: status(cluster)["rollout"]["phase"] == "Aborted")
        assert status(cluster)["rollout"]["mirror"] == 0
        await passed(cluster, lambda: mirrors(cluster) == {}, most=2)
        await asyncio.sleep(600)
        assert shares(requests)[-1] == (0, 0) and {weight for weight, _ in shares(requests)} == {0}
        assert condition(cluster)[1] == "VersionBlocked" and "mirrored failed" in condition(cluster)[2]

    run(check, requests)


def test_copies_wait_for_the_replicas_that_carry_them_and_go_with_them():
    requests = ServedRequests()

    async def check(cluster: Cluster) -> None:
        await add_replicas(cluster, "v2", 1)
        await cluster.apply(document("v2", **MIRRORED))
        await passed(cluster, lambda: mirrors(cluster) == {"v2": 10})
        await asyncio.sleep(600)
        assert mirrors(cluster) == {"v2": 10}
        said = condition(cluster)
        assert said[1] == "Warming" and "1 of 2 warm replicas for 50 % mirrored" in said[2]
        await add_replicas(cluster, "v2", 2)
        await passed(cluster, lambda: mirrors(cluster) == {"v2": 50})
        await cluster.client.delete(ObjectKey("Pod", "search", "v2-0"))
        await passed(cluster, lambda: mirrors(cluster) in ({"v2": 25}, {"v2": 10}), most=10)

    run(check, requests)


def test_an_abort_takes_the_copies_away_at_once_and_a_pause_keeps_them():
    requests = ServedRequests()

    async def check(cluster: Cluster) -> None:
        await add_replicas(cluster, "v2")
        await cluster.apply(document("v2", **MIRRORED))
        await passed(cluster, lambda: mirrors(cluster) == {"v2": 10})
        await ask(cluster, "pause 1")
        await asyncio.sleep(600)
        assert mirrors(cluster) == {"v2": 10}
        await ask(cluster, "abort 1")
        await passed(cluster, lambda: mirrors(cluster) == {}, most=2)
        assert weights(cluster) == {"v1": 100}

    run(check, requests)


def test_without_statistics_of_copies_the_version_gets_no_request_and_it_says_why():
    requests = ServedRequests(away=True)

    async def check(cluster: Cluster) -> None:
        await add_replicas(cluster, "v2")
        await cluster.apply(document("v2", **MIRRORED))
        await passed(cluster, lambda: mirrors(cluster) == {"v2": 10})
        await asyncio.sleep(600)
        assert mirrors(cluster) == {"v2": 10} and weights(cluster) == {"v1": 100}
        held, reason, message = condition(cluster)
        assert (held, reason) == ("False", "StatisticsMissing")
        assert "stays at 10 % mirrored" in message and "gateway pods show the manager their counters" in message

    run(check, requests)


async def test_the_api_says_what_is_mirrored_and_a_plan_that_it_will_be(fleet):
    requests = ServedRequests(away=True)
    place = "/v1/tenants/search/models/ranker"
    async with fleet.manager(outcomes=requests) as manager, fleet.rest(manager) as calls:
        await fleet.apply(NAMESPACE, gateway(), tenant())
        await until(lambda: fleet.get("Namespace", "search"), what="the tenant's namespace")
        await fleet.apply(model())
        await until(lambda: is_programmed(fleet, "ranker", "search"), what="the model")
        asked = document("v2", **MIRRORED)
        status, found = await calls.call("PUT", f"{place}?dryRun=true", {"spec": asked["spec"]})
        said = "a release mirrors 10 %, 50 % of them, whose answers are thrown away, and then brings them to v2"
        assert status == 200 and any(said in one for one in found["reasons"]), found["reasons"]
        await fleet.apply(asked)
        for version in ("v1", "v2"):
            for _ in range(4):
                await fleet.pod("search", labels(version=version))

        async def shown() -> str:
            _, found = await calls.call("GET", f"{place}/release")
            return "".join(found["explanation"]) if (found["release"] or {}).get("mirror") == 10 else ""

        assert "10 % of them are mirrored to v2" in await until(shown, what="the mirrored step")
