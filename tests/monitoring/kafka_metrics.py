"""Metrics of the parts that use Kafka, by the code that makes them, without any broker."""

from types import SimpleNamespace
from typing import Any

from prometheus_client import CollectorRegistry

from collectors.access_log.partition_progress import PartitionProgress, ReadPosition
from collectors.remote_write import WriteContent
from k8s_manager.collector.kafka.partition_state import OwnedPartition
from k8s_manager.collector.kafka.remote_write_endpoint import WriteMetrics
from k8s_manager.collector.kafka.topic_metrics import topic_metrics
from k8s_manager.collector.request_metrics import Snapshot


def kafka_registries() -> tuple[CollectorRegistry, ...]:
    """Return the metrics of a collector that reads a partition, and of an endpoint that has had a request."""
    owned = OwnedPartition(0, "lines/0", 1, PartitionProgress(ReadPosition(5, 0)), ReadPosition(3, 0), lag=2)
    topic = SimpleNamespace(owned={0: owned}, problem=None)
    collector: Any = SimpleNamespace(topic=topic, problem=None, refused=0)
    registry, writes = CollectorRegistry(), WriteMetrics()
    registry.register(Snapshot(topic_metrics(collector)))
    writes.requests.labels("204").inc()
    writes.count(WriteContent([], 0, 0), 0)
    return registry, writes.registry
