"""Metrics of sinks, as the collector sets them."""

from prometheus_client import CollectorRegistry, generate_latest

from collectors.access_log.line_counts import LineCounts
from collectors.request_statistics.request_totals import RequestTotals
from k8s_manager.collector.request_metrics import RequestMetrics


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


def test_a_snapshot_does_not_change_with_what_it_was_made_of():
    metrics = RequestMetrics(RequestTotals(0), LineCounts())
    metrics.sink_failures = {"kafka": 1}
    registry = CollectorRegistry()
    registry.register(metrics.snapshot())
    metrics.sink_failures["kafka"] = 2
    assert b'tidegate_collector_sink_failures_total{sink="kafka"} 1.0' in generate_latest(registry)
