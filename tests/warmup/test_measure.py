import asyncio
import xml.dom.minidom
from contextlib import asynccontextmanager

import pytest

from istio_templates.errors import Conflict, Invalid
from k8s_manager.cli.warmup_commands.measure import chosen
from k8s_manager.runtime.clock import SystemClock
from tests.support.bounds import slowness
from tests.support.model_server import Cold, model_server
from tests.warmup.plans import bundle
from warmup.clients import connect
from warmup.measurement.curve import svg
from warmup.measurement.load_ramp import proposal, rated
from warmup.measurement.measure import Rates, measure


@asynccontextmanager
async def limited_server(seconds: float):
    """Run a server that works on one request at a time, for so many seconds each."""
    cold, one = Cold(), asyncio.Lock()
    answer = cold.answer

    async def slow(shape, good):
        async with one:
            await asyncio.sleep(seconds)
        return await answer(shape, good)

    cold.answer = slow
    async with model_server(cold) as port:
        yield port


async def curve(port, rates, **parts):
    found = bundle(target={"protocol": "oip-rest", "port": port}, **parts)
    client = connect(found.spec.target, "127.0.0.1", found.hash, 200)
    told = []
    try:
        steps = await measure(found, client, SystemClock(), rates, lambda steps: told.append(len(steps)))
    finally:
        await client.close()
    assert told == list(range(1, len(steps) + 1))
    return steps


async def test_the_curve_ends_where_the_replica_queues_up():
    async with limited_server(0.04) as port:  # 25 requests a second
        steps = await curve(port, Rates(first=8, most=200, hold=1.5, target=0.3))
    found = proposal(steps)
    assert found is not None and 8 <= found <= 25
    assert any(step.broke for step in steps)
    assert max(step.offered for step in steps) < 80


async def test_a_replica_that_is_slow_but_takes_any_number_at_once_is_measured_to_the_end():
    cold = Cold(slow_calls=10**6, slow=0.3)
    async with model_server(cold) as port:
        rates = Rates(first=20, most=40, hold=1.0, target=2.0 * slowness())
        steps = await curve(port, rates, load={"minRequests": 5, "maxRequests": 200, "perRequestTimeout": "60s"})
    assert [step.broke for step in steps] == ["", "", ""]
    assert proposal(steps) == 36


async def test_a_server_that_refuses_the_plan_is_an_error_with_its_words():
    async with model_server(Cold(ready_after=10**6)) as port:
        with pytest.raises(Invalid, match="after 300ms: the server was not ready"):
            await curve(port, Rates(5, 10, 1, 0.1), timeout="300ms")


def replica(name, version, weight, ready=True):
    return {"name": name, "version": version, "weight": weight, "ready": ready, "address": f"10.0.0.{name}"}


def test_a_replica_without_traffic_is_measured_before_one_of_several_with_it():
    assert chosen([replica("1", "v1", 100), replica("2", "v2", 0)], "search/ranker") == "10.0.0.2"
    assert chosen([replica("1", "v1", 100), replica("2", "v1", 100)], "search/ranker") == "10.0.0.1"
    assert chosen([replica("1", "v1", 100, ready=False), replica("2", "v2", 0)], "search/ranker") == "10.0.0.2"


def test_the_only_replica_with_traffic_is_never_measured():
    for replicas in (
        [replica("1", "v1", 100)],
        [replica("1", "v1", 50), replica("2", "v2", 50)],
        [replica("1", "v1", 100), replica("2", "v1", 100, ready=False)],
        [],
    ):
        with pytest.raises(Conflict, match="give a server with --address"):
            chosen(replicas, "search/ranker")


def test_the_picture_is_whole_and_shows_what_is_proposed():
    steps = [rated(10, 10, 0.02, 0, 0.1), rated(20, 20, 0.05, 0, 0.1), rated(30, 22, 2.0, 0, 0.1)]
    text = svg("search/<ranker>", steps, 0.1, 18)
    xml.dom.minidom.parseString(text)
    assert "search/&lt;ranker&gt;" in text
    assert text.count("<circle") == 3
    assert ">18/s<" in text
