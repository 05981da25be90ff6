"""Live figures of models: samples of five minutes by collectors, drift by queries, and why there are none."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from collectors.access_log.rows import RowPlace
from istio_templates.documents import ModelSpec, parse
from istio_templates.errors import Transient
from istio_templates.facts import Tenancy
from k8s_manager.release.live.live_figures import LiveFigures
from k8s_manager.release.live.live_question import LiveQuestion, live_question
from k8s_manager.release.live.model_figures import ModelFigures, version_samples
from k8s_manager.release.release_target import ModelPlace
from k8s_manager.statistics.collector_pool import CollectorPool
from k8s_manager.statistics.usage.metric_series import InstantSample
from tests.k8s_manager.autoscaling.readings.scene import CLOCK, UTC_NOW
from tests.support.documents import model
from tests.support.fake_collector import FakeCollector, stats_row
from tests.support.serving import serving

PLACE = ModelPlace("search", "ranker")
END = int(UTC_NOW.timestamp() - 20) // 60 * 60
V1, V2 = (RowPlace("version", tenant="search", model="ranker", version=name) for name in ("v1", "v2"))
LEAST = {"latency": 100, "errors": 100}


def at(second: int) -> datetime:
    return datetime.fromtimestamp(second, UTC)


def test_a_sample_is_of_the_five_minutes_before_it():
    rows = [stats_row(V1, END - 600 + 60 * minute, (50,) * 30, ok=30) for minute in range(9)]
    rows.append(stats_row(V1, END - 60, (400,) * 30, serverError=30))
    found = version_samples(rows, END - 600, END, LEAST)
    assert [sample.at for sample in found["v1", "errors"]] == [at(END - 300 + 60 * minute) for minute in range(6)]
    assert [sample.value for sample in found["v1", "errors"]] == [0, 0, 0, 0, 0, 0.2]
    assert found["v1", "latency"][-2].value == pytest.approx(0.05, rel=0.03)
    assert found["v1", "latency"][-1].value == pytest.approx(0.4, rel=0.03)


def test_few_requests_give_no_sample_and_versions_stand_apart():
    rows = [stats_row(V1, END - 120, (50,) * 99, ok=99), stats_row(V2, END - 120, (50,) * 200, serverError=200)]
    found = version_samples(rows, END - 300, END, LEAST)
    assert set(found) == {("v2", "latency"), ("v2", "errors")}
    figures = ModelFigures(found)
    assert figures.of("v1") == {} and figures.of("v2")["errors"][0].value == 1


def test_requests_without_an_answer_have_no_latency():
    found = version_samples([stats_row(V1, END - 60, clientGone=500)], END - 300, END, LEAST)
    assert list(found) == [("v1", "errors")]


def selection(*limits, **more):
    spec = parse(model(selection={"strategy": "threshold", "limits": [*limits], **more})).spec
    assert isinstance(spec, ModelSpec) and spec.selection
    return spec.selection


class Served:
    """A served model, as far as questions look at it."""

    tenant = Tenancy("search", "search", gateways=(), hosts=())


def test_only_what_limits_are_about_is_asked_for():
    metric = {"metric": {"name": "auc", "dataset": "holdout"}, "min": 0.8}
    assert live_question(PLACE, Served, selection(metric)) is None
    posted = {"drift": {"metric": {"name": "psi", "dataset": "live"}}, "max": 0.2}
    assert live_question(PLACE, Served, selection(posted)) is None
    live = {"live": "errors", "max": "1%", "minRequests": 7}
    found = live_question(PLACE, Served, selection(metric, live, **{"for": "30m"}))
    assert found == LiveQuestion(PLACE, "search", {"errors": 7}, None, 30 * 60 + 600 + 300)
    found = live_question(PLACE, Served, selection({"drift": {"prometheus": "psi"}, "max": 0.2}))
    assert found is not None and (found.least, found.drift) == ({}, "psi")


@dataclass
class Answers:
    """A Prometheus whose answers a test sets."""

    values: list[str | Exception] = field(default_factory=list)

    async def instant(self, query, lookback=None, most_bytes=None):
        value = self.values.pop(0)
        if isinstance(value, Exception):
            raise value
        return [InstantSample({}, value, UTC_NOW.timestamp())]


async def look(figures: LiveFigures, **more) -> ModelFigures:
    question = LiveQuestion(PLACE, "search", LEAST, None, 1500)
    figures._asked = {PLACE: replace(question, **more)}
    await figures.once()
    return figures.of(*PLACE)


async def test_collectors_are_asked_as_far_back_as_limits_look():
    rows = [stats_row(V1, END - 1200 + 60 * minute, (50,) * 100, ok=100) for minute in range(20)]
    collector = FakeCollector(*rows)
    async with serving("/rows", collector.answer) as port:
        found = await look(LiveFigures(CollectorPool(f"http://127.0.0.1:{port}", None), None, CLOCK))
    samples = found.of("v1")["latency"]
    assert samples[-1].at == at(END) and samples[0].at == at(END - 1140) and not found.flaws
    assert all(later.at - earlier.at == timedelta(minutes=1) for earlier, later in pairwise(samples))


async def test_without_figures_it_is_said_why():
    found = await look(LiveFigures(None, None, CLOCK))
    assert found.of("v1") == {} and "start collectors" in found.flaws["latency"]
    found = await look(LiveFigures(None, None, CLOCK), least={}, drift="psi")
    assert set(found.flaws) == {"drift"} and "no Prometheus" in found.flaws["drift"]
    collector = FakeCollector()
    collector.about = {"lag": 40.0}
    async with serving("/rows", collector.answer) as port:
        pool = CollectorPool(f"http://127.0.0.1:{port}", None)
        assert "40 s behind" in (await look(LiveFigures(pool, None, CLOCK))).flaws["errors"]
        assert "logs no requests" in (await look(LiveFigures(pool, None, CLOCK), silent="shared")).flaws["errors"]


async def test_what_a_query_has_given_is_kept_and_an_error_does_not_end_it():
    figures = LiveFigures(None, Answers(["0.3", Transient("Prometheus is away"), "NaN"]), CLOCK)  # type: ignore[arg-type]
    found = await look(figures, least={}, drift="psi")
    assert [sample.value for sample in found.of("any")["drift"]] == [0.3] and not found.flaws
    found = await look(figures, least={}, drift="psi")
    assert len(found.drift) == 1 and found.flaws["drift"] == "Prometheus is away"
    found = await look(figures, least={}, drift="psi")
    assert len(found.drift) == 1 and "gives NaN" in found.flaws["drift"]
