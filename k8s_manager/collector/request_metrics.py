"""Metrics of requests and of the collector itself, in Prometheus' form."""

from collections.abc import Iterable, Iterator
from itertools import accumulate

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector as Source

from collectors.access_log.line_counts import LineCounts
from collectors.access_log.outcomes import OUTCOMES
from collectors.request_statistics.request_totals import BOUNDS, PlaceTotal, RequestTotals

LINES = ("counted", "foreign", "unparsable", "unknown", "too_late", "ahead", "repeated")


class Snapshot(Source):
    """Metrics as they were at one moment, to be written down beside the event loop."""

    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._metrics = tuple(metrics)

    def collect(self) -> Iterator[Metric]:
        """Yield them."""
        yield from self._metrics


class RequestMetrics:
    """Makes the metrics of what the collector has counted."""

    def __init__(self, totals: RequestTotals, counts: LineCounts) -> None:
        self._totals, self._counts = totals, counts
        self.pods, self.unread, self.lag = 0, 0, 0.0
        self.sink_failures: dict[str, int] = {}
        self.sink_waiting: dict[str, int] = {}
        self.sink_refused: dict[str, int] = {}
        self.sink_dropped: dict[str, int] = {}

    def snapshot(self) -> Snapshot:
        """Return all metrics as they are now."""
        return Snapshot([*self._requests(), *self._of_arms(), *self._own(), *self._sinks()])

    def _own(self) -> Iterator[Metric]:
        lines = CounterMetricFamily("tidegate_collector_lines", "Lines that were read.", labels=["result"])
        for name in LINES:
            lines.add_metric([name], getattr(self._counts, name))
        yield lines
        late = "Lines for rows that were emitted before."
        yield CounterMetricFamily("tidegate_collector_late_lines", late, value=self._counts.late)
        yield GaugeMetricFamily("tidegate_collector_pods", "Gateway pods whose log is followed.", value=self.pods)
        unread = "Gateway pods whose log cannot be read."
        yield GaugeMetricFamily("tidegate_collector_unread_pods", unread, value=self.unread)
        lag = "Seconds by which the rows of the slowest gateway pod are behind."
        yield GaugeMetricFamily("tidegate_collector_lag_seconds", lag, value=self.lag)

    def _sinks(self) -> Iterator[Metric]:
        waiting = GaugeMetricFamily("tidegate_collector_sink_rows", "Rows that wait for a sink.", labels=["sink"])
        counters = (
            ("failures", "Writes that a sink did not take.", self.sink_failures),
            ("rows_refused", "Rows that a sink has refused for ever.", self.sink_refused),
            ("rows_dropped", "Rows that were dropped, since too many waited for a sink.", self.sink_dropped),
        )
        for name, text, counts in counters:
            family = CounterMetricFamily(f"tidegate_collector_sink_{name}", text, labels=["sink"])
            for sink, count in counts.items():
                family.add_metric([sink], count)
            yield family
        for sink, count in self.sink_waiting.items():
            waiting.add_metric([sink], count)
        yield waiting

    def _requests(self) -> Iterator[Metric]:
        of_gateways = CounterMetricFamily(
            "tidegate_gateway_requests", "Requests at a gateway.", labels=["gateway", "outcome"]
        )
        requests = CounterMetricFamily(
            "tidegate_requests", "Requests of a model.", labels=["tenant", "model", "outcome"]
        )
        sizes = CounterMetricFamily(
            "tidegate_request_bytes", "Bytes of bodies.", labels=["tenant", "model", "direction"]
        )
        durations = HistogramMetricFamily(
            "tidegate_request_duration_seconds", "Durations of what a model answered.", labels=["tenant", "model"]
        )
        for place, total in self._totals.by_place.items():
            labels = [place.tenant, place.model]
            if place.level == "gateway":
                _count(of_gateways, [place.gateway], total)
            elif place.level == "model":
                _count(requests, labels, total)
                sizes.add_metric([*labels, "in"], total.bytes_in)
                sizes.add_metric([*labels, "out"], total.bytes_out)
                _time(durations, labels, total)
        yield from (of_gateways, requests, sizes, durations)

    def _of_arms(self) -> Iterator[Metric]:
        """Yield what matches have brought; what the weights have is the rest of the model's."""
        labels = ["tenant", "model", "version", "arm"]
        requests = CounterMetricFamily(
            "tidegate_arm_requests", "Requests that a match has brought to a version.", labels=[*labels, "outcome"]
        )
        durations = HistogramMetricFamily(
            "tidegate_arm_request_duration_seconds", "Durations of what a matched version answered.", labels=labels
        )
        for place, total in self._totals.by_place.items():
            if place.arm:
                values = [place.tenant, place.model, place.version, place.arm]
                _count(requests, values, total)
                _time(durations, values, total)
        yield from (requests, durations)


def _time(family: HistogramMetricFamily, labels: list[str], total: PlaceTotal) -> None:
    names = [*map(str, BOUNDS), "+Inf"]
    family.add_metric(labels, list(zip(names, accumulate(total.within), strict=True)), total.seconds)


def _count(family: CounterMetricFamily, labels: list[str], total: PlaceTotal) -> None:
    for outcome, count in zip(OUTCOMES, total.counts, strict=True):
        if count:
            family.add_metric([*labels, outcome], count)
