"""Metrics of sinks, as the collector sets them."""

from prometheus_client import CollectorRegistry, generate_latest

from collectors.access_log.engine import Engine
from collectors.access_log.line_counts import LineCounts
from collectors.request_statistics.request_totals import RequestTotals
from k8s_manager.collector.request_metrics import RequestMetrics
from tests.collectors.access_log.lines import BEGIN, LIMITED, line

OK = 'outcome="ok",'


def page(metrics: RequestMetrics) -> list[str]:
    registry = CollectorRegistry()
    registry.register(metrics.snapshot())
    return [line for line in generate_latest(registry).decode().splitlines() if "sink" in line and line[0] != "#"]


def test_a_collector_without_sinks_shows_none():
    assert page(RequestMetrics(RequestTotals(0), LineCounts())) == []


def test_failures_and_waiting_rows_of_each_sink_are_shown():
    metrics = RequestMetrics(RequestTotals(0), LineCounts())
    metrics.sink_failures, metrics.sink_waiting = {"kafka": 2, "files": 0}, {"kafka": 40}
    assert page(metrics) == [
        'tidegate_collector_sink_failures_total{sink="kafka"} 2.0',
        'tidegate_collector_sink_failures_total{sink="files"} 0.0',
        'tidegate_collector_sink_rows{sink="kafka"} 40.0',
    ]


def test_rows_that_are_lost_are_shown():
    metrics = RequestMetrics(RequestTotals(0), LineCounts())
    metrics.sink_refused, metrics.sink_dropped = {"search": 3}, {"search": 5}
    assert page(metrics) == [
        'tidegate_collector_sink_rows_refused_total{sink="search"} 3.0',
        'tidegate_collector_sink_rows_dropped_total{sink="search"} 5.0',
    ]


def test_arms_have_requests_and_durations_and_what_the_weights_divide_has_none():
    totals = RequestTotals(0)
    engine = Engine()
    engine.feed("gw-0", [line(BEGIN), line(BEGIN, route="search.ranker.0.testers"), line(BEGIN, **LIMITED)])
    totals.add((row, None) for row in engine.end("gw-0"))
    registry = CollectorRegistry()
    registry.register(RequestMetrics(totals, LineCounts()).snapshot())
    lines = [text for text in generate_latest(registry).decode().splitlines() if text.startswith("tidegate_arm_req")]
    names = 'arm="testers",model="ranker",{}tenant="search",version="v1"'
    assert [text for text in lines if "_bucket" not in text and "_created" not in text] == [
        f"tidegate_arm_requests_total{{{names.format(OK)}}} 1.0",
        f"tidegate_arm_request_duration_seconds_count{{{names.format('')}}} 1.0",
        f"tidegate_arm_request_duration_seconds_sum{{{names.format('')}}} 0.02",
    ]
    labels = {"tenant": "search", "model": "ranker", "outcome": "ok"}
    assert registry.get_sample_value("tidegate_requests_total", labels) == 2, "of all arms together"


def test_a_snapshot_does_not_change_with_what_it_was_made_of():
    metrics = RequestMetrics(RequestTotals(0), LineCounts())
    metrics.sink_failures = {"kafka": 1}
    registry = CollectorRegistry()
    registry.register(metrics.snapshot())
    metrics.sink_failures["kafka"] = 2
    assert b'tidegate_collector_sink_failures_total{sink="kafka"} 1.0' in generate_latest(registry)
