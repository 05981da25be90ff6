"""Replica counts from Prometheus: followed where they can be believed, held where not, compared where both are asked."""

import dataclasses
import time

import pytest
from aiohttp import web

from tests.features.conftest import in_slot, make_search
from tests.support.documents import labels, model
from tests.support.fleet import QUICK, SETTINGS
from tests.support.serving import serving
from tests.support.waiting import until


class FakePrometheus:
    """A Prometheus that says what the test wants."""

    def __init__(self):
        self.value, self.age, self.status, self.asked = "2", 0.0, 200, 0

    async def answer(self, request):
        self.asked += 1
        if self.status != 200:
            return web.Response(status=self.status, text="no")
        labels_ = {"namespace": "search", "deployment": "ranker-v1"}
        series = [] if self.value is None else [{"metric": labels_, "values": [[time.time() - self.age, self.value]]}]
        return web.json_response({"status": "success", "data": {"resultType": "matrix", "result": series}})


@pytest.fixture
async def prometheus():
    fake = FakePrometheus()
    async with serving("/api/v1/query", fake.answer) as port:
        fake.url = f"http://127.0.0.1:{port}"
        yield fake


def asking(fake, source, **given):
    settings = {"replica_source": source, "prometheus_url": fake.url, "sample_every": 0.1, "sample_patience": 0.3}
    return dataclasses.replace(SETTINGS, **settings, **given)


async def limit_is(fleet, rate):
    return list((await in_slot(fleet)).values()) == [rate]


async def followed(fleet, rate):
    await until(lambda: limit_is(fleet, rate), f"the limit {rate}/s")


async def asked(fake, times=5):
    goal = fake.asked + times
    await until(lambda: fake.asked >= goal, "Prometheus being asked")


@pytest.mark.parametrize("nonsense", ["NaN", "-3", "+Inf", "2.5", "99999999", None])
async def test_the_limit_follows_prometheus_and_nonsense_holds_the_last_good_one(fleet, prometheus, nonsense):
    async with fleet.manager(asking(prometheus, "prometheus")):
        await make_search(fleet)
        await fleet.pod("inference-gw", {"istio": "shared"})
        await followed(fleet, 40)
        prometheus.value = "3"
        await followed(fleet, 60)
        prometheus.value = nonsense
        await asked(prometheus)
        assert await limit_is(fleet, 60)
        prometheus.value = "4"
        await followed(fleet, 80)


async def test_a_prometheus_that_is_away_holds_the_limit_and_then_lets_the_fallback_hold(fleet, prometheus):
    async with fleet.manager(asking(prometheus, "prometheus", stale_after=2.0)):
        await make_search(fleet)
        await fleet.apply(
            model(rateLimit={"perReplicaQps": 20, "floor": 3, "fallback": {"stale": "floor"}, "debounce": QUICK})
        )
        await fleet.pod("inference-gw", {"istio": "shared"})
        await followed(fleet, 40)
        prometheus.status = 503
        await asked(prometheus, 2)
        assert await limit_is(fleet, 40)
        await followed(fleet, 3)

        async def told():
            return (await fleet.condition("Model", "ranker", "Limited", "search"))["reason"] == "Stale"

        await until(told)
        prometheus.status = 200
        await followed(fleet, 40)


async def test_with_both_the_pods_count_and_a_difference_is_told(fleet, prometheus):
    async with fleet.manager(asking(prometheus, "both")):
        await make_search(fleet)
        await fleet.pod("inference-gw", {"istio": "shared"})
        await fleet.pod("search", labels())
        await followed(fleet, 20)

        async def told(status):
            return (await fleet.condition("Model", "ranker", "SourcesAgree", "search")).get("status") == status

        await until(lambda: told("False"), "the difference")
        said = (await fleet.condition("Model", "ranker", "SourcesAgree", "search"))["message"]
        assert "1 ready by watch, 2 by Prometheus" in said
        assert await limit_is(fleet, 20)
        prometheus.value = "1"
        await until(lambda: told("True"), "both agreeing")


async def test_sources_of_which_one_is_away_are_not_said_to_agree(fleet, prometheus):
    async with fleet.manager(asking(prometheus, "both", stale_after=3.0)):
        await make_search(fleet)
        await fleet.pod("inference-gw", {"istio": "shared"})
        await fleet.pod("search", labels())

        async def told(status, reason):
            found = await fleet.condition("Model", "ranker", "SourcesAgree", "search")
            return (found.get("status"), found.get("reason")) == (status, reason)

        await until(lambda: told("False", "Disagree"), "the difference")
        prometheus.status = 503
        await until(lambda: told("Unknown", "NotRead"), "Prometheus being away")
        prometheus.status, prometheus.value = 200, "1"
        await until(lambda: told("True", "Agree"), "both agreeing")
        prometheus.value = None
        await until(lambda: told("Unknown", "NotRead"), "Prometheus having no count")
