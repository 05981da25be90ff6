"""Metrics of a collector that reads Kafka."""

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from k8s_manager.collector.kafka.line_collector import LineCollector


def topic_metrics(collector: LineCollector) -> Iterator[Metric]:
    """Yield how a collector stands with its topic, as it is now."""
    owned = list(collector.topic.owned.values())
    read = "Partitions that this collector reads."
    yield GaugeMetricFamily("tidegate_collector_partitions", read, value=len(owned))
    behind = "Messages behind what was read, of all partitions that this collector reads."
    yield GaugeMetricFamily("tidegate_collector_unread_messages", behind, value=sum(each.lag for each in owned))
    uncommitted = "Messages that a collector in this one's place would read again."
    again = sum(each.progress.next - each.committed.offset for each in owned if each.committed)
    yield GaugeMetricFamily("tidegate_collector_uncommitted_messages", uncommitted, value=again)
    held = "Whether a sink or the brokers are away now."
    is_held = collector.problem or collector.topic.problem
    yield GaugeMetricFamily("tidegate_collector_held", held, value=float(bool(is_held)))
    refused = "Rows that a sink has refused for ever."
    yield CounterMetricFamily("tidegate_collector_refused_rows", refused, value=collector.refused)
