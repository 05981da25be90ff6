"""Queues and other figures by query: one fresh number, or a sentence; a server that is away or slow holds nobody back."""

import asyncio
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from k8s_manager.autoscaling.readings import query_signals
from k8s_manager.autoscaling.readings.query_figures import QueryFigure, figure_in
from k8s_manager.autoscaling.readings.query_signals import QuerySignals
from k8s_manager.autoscaling.signal_source import SignalReadings
from k8s_manager.runtime.clock import SystemClock
from k8s_manager.statistics.usage.metric_series import InstantSample
from k8s_manager.statistics.usage.prometheus_server import PrometheusServer
from tests.k8s_manager.autoscaling.readings.scene import CLOCK, NOW, UTC_NOW, target, values, why
from tests.support.prometheus import needs_prometheus, running_prometheus
from tests.support.serving import serving
from tests.support.standalone import free_port
from tests.support.waiting import until

AT = UTC_NOW.timestamp()
WEEK = 7 * 86_400


def queue(query: str = "sum(waiting)", name: str = "queue") -> dict[str, Any]:
    return {"name": name, "prometheus": query, "target": 5, "guard": True}


def vector(*found: tuple[Any, Any]) -> dict[str, Any]:
    """Return the answer of a Prometheus with some series, by moment and value."""
    result = [{"metric": {"pod": str(place)}, "value": [*one]} for place, one in enumerate(found)]
    return {"status": "success", "data": {"resultType": "vector", "result": result}}


class FakePrometheus:
    """A Prometheus that says what the test wants of each query; None: it does not answer before the end."""

    def __init__(self, **answers: Any) -> None:
        self.answers, self.asked, self.status = answers, list[dict[str, str]](), 200
        self.over, self.waiting = asyncio.Event(), 0

    async def answer(self, request: web.Request) -> web.Response:
        query = request.query["query"]
        self.asked.append(dict(request.query))
        found = next(answer for word, answer in self.answers.items() if word in query)
        if found is None:
            self.waiting += 1
            await self.over.wait()
        return web.json_response(found, status=self.status)


async def read(fake: FakePrometheus, *versions: Any) -> SignalReadings:
    async with serving("/api/v1/query", fake.answer) as port:
        try:
            return await QuerySignals(PrometheusServer(f"http://127.0.0.1:{port}"), CLOCK).read(versions)
        finally:
            fake.over.set()


async def test_a_queue_is_the_number_that_its_query_gives():
    fake, wanted = FakePrometheus(waiting=vector((AT - 1.5, "12.5"))), target(queue())
    found = await read(fake, wanted)
    assert values(found, wanted) == {"queue": 12.5} and not found.missing
    assert found.values[wanted.key]["queue"].at == NOW - 1.5
    assert fake.asked == [{"query": "sum(waiting)", "lookback_delta": "90s"}]


async def test_the_same_query_is_asked_once_and_names_are_kept_apart():
    fake = FakePrometheus(waiting=vector((AT, "1")), tokens=vector((AT, "2")))
    one, other = target(queue(), queue("sum(tokens)", "tokens")), target(queue(), version="v2")
    found = await read(fake, one, other)
    assert (values(found, one), values(found, other)) == ({"queue": 1.0, "tokens": 2.0}, {"queue": 1.0})
    assert len(fake.asked) == 2


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (vector(), "gives no series now; look at it, and at what exports the metric"),
        (vector((AT, "1"), (AT, "2"), (AT, "3")), "gives 3 series; write one that gives one, such as sum(...)"),
        (vector((AT, "NaN")), "gives NaN; write one that always gives a number from 0 on"),
        (vector((AT, "+Inf")), "gives +Inf"),
        (vector((AT, "-1")), "gives -1"),
        (vector((AT, "many")), "gives many"),
        (vector((AT - WEEK, "7")), "answered as of 2026-11-23T12:00:07Z; look at the clock of Prometheus"),
        (vector((AT - 61, "7")), "answered as of 2026-11-30T11:59:06Z"),
        (vector((AT + 31, "7")), "answered as of 2026-11-30T12:00:38Z"),
        (vector((1e12, "7")), "answered as of second 1000000000000"),
        (vector(("now", "7")), "answered without a moment"),
        (vector((True, "7")), "answered without a moment"),
        (vector((1e300, "7")), "answered without a moment"),
        ({"status": "success", "data": {"resultType": "scalar", "result": [AT, "1"]}}, "its answer is no vector"),
        ({"status": "error", "error": "1:5: parse error: unexpected end"}, "1:5: parse error: unexpected end"),
        ([], "none to a query"),
    ],
)  # fmt: skip
async def test_what_is_not_one_fresh_number_is_missing_with_a_sentence_of_its_own(answer: Any, said: str):
    found = await read(FakePrometheus(waiting=answer), wanted := target(queue()))
    assert said in why(found, wanted, "queue")


async def test_a_clock_that_is_a_little_ahead_is_of_now():
    found = await read(FakePrometheus(waiting=vector((AT + 20, "7"))), wanted := target(queue()))
    assert found.values[wanted.key]["queue"].at == NOW


async def test_an_answer_without_end_is_not_read():
    endless = vector(*((AT, "1" * 40) for _ in range(5000)))
    fake = FakePrometheus(waiting=endless, tokens=vector((AT, "2")))
    found = await read(fake, wanted := target(queue(), queue("sum(tokens)", "tokens")))
    assert f"more than {query_signals.MOST_BYTES} bytes" in why(found, wanted, "queue")
    assert values(found, wanted) == {"tokens": 2.0}


async def test_without_a_prometheus_the_option_is_named():
    found = await QuerySignals(None, CLOCK).read([wanted := target(queue())])
    assert why(found, wanted, "queue") == query_signals.NO_PROMETHEUS
    assert "--prometheus URL" in query_signals.NO_PROMETHEUS


async def test_a_prometheus_that_is_away_or_refuses_is_a_sentence(tmp_path: Path):
    many = [target(queue(f"sum(q{number})"), model=f"m{number}") for number in range(100)]
    away = QuerySignals(PrometheusServer(f"http://127.0.0.1:{free_port()}"), CLOCK)
    found = await away.read(many)
    assert all("Prometheus at 127.0.0.1 gave no figures (Cannot connect" in why(found, one, "queue") for one in many)
    unread = QuerySignals(PrometheusServer("http://127.0.0.1:1", tmp_path / "token"), CLOCK)
    assert "cannot be read: No such file" in why(await unread.read(many[:1]), many[0], "queue")
    fake = FakePrometheus(waiting={})
    fake.status = 403
    assert "give --prometheus-token-file" in why(await read(fake, wanted := target(queue())), wanted, "queue")


async def test_slow_queries_of_one_tenant_do_not_hold_back_those_of_another(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(query_signals, "PATIENCE", 0.5)
    fake = FakePrometheus(slow=None, fast=vector((AT, "3")))
    slow = [target(queue(f"slow{number}"), model=f"m{number}") for number in range(30)]
    fast = target(queue("fast"), namespace="other")
    found = await read(fake, *slow, fast)
    assert values(found, fast) == {"queue": 3.0}
    assert all("did not answer within 0.5 s; make the query cheaper" in why(found, one, "queue") for one in slow)
    assert fake.waiting == query_signals.AT_ONCE_OF_NAMESPACE


async def test_so_many_are_asked_at_once(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(query_signals, "PATIENCE", 0.5)
    fake = FakePrometheus(slow=None)
    await read(fake, *(target(queue(f"slow{number}"), namespace=f"n{number}") for number in range(40)))
    assert fake.waiting == query_signals.AT_ONCE


numbers = st.floats() | st.integers()
samples = st.lists(
    st.builds(InstantSample, st.just({}), numbers.map(str) | st.text(max_size=50), st.none() | st.floats(-1e12, 2**40)),
    max_size=2,
)


@given(samples)
def test_no_answer_breaks_the_reader_and_a_figure_is_a_fresh_number(found: list[InstantSample]):
    figure = figure_in(found, AT)
    assert figure if isinstance(figure, str) else figure.value >= 0 and AT - 60 <= figure.at <= AT
    assert isinstance(figure_in([InstantSample({}, "3", AT)], AT), QueryFigure)


@needs_prometheus
async def test_a_real_prometheus_answers_the_question(tmp_path: Path):
    async def exposed(_: web.Request) -> web.Response:
        return web.Response(text='waiting{pod="a"} 3\nwaiting{pod="b"} 4\n')

    async with serving("/metrics", exposed) as port:
        scrape = {"job_name": "test", "scrape_interval": "1s", "static_configs": [{"targets": [f"127.0.0.1:{port}"]}]}
        async with running_prometheus(tmp_path, {"scrape_configs": [scrape]}) as prometheus, aiohttp.ClientSession():
            signals = QuerySignals(PrometheusServer(prometheus.url), SystemClock())
            wanted = target(
                queue(), queue("waiting", "each"), queue("0/0 * sum(waiting)", "none"), queue("sum(", "bad")
            )

            async def counted() -> bool:
                return "queue" in values(await signals.read([wanted]), wanted)

            await until(counted, "a scrape")
            found = await signals.read([wanted])
    assert values(found, wanted) == {"queue": 7.0}
    assert "2 series" in why(found, wanted, "each") and "NaN" in why(found, wanted, "none")
    assert "parse error" in why(found, wanted, "bad")
