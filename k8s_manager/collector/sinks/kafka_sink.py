"""Rows to a topic of Kafka: JSON, under the key of the row, so that a compacted topic keeps the last revision."""

from collections.abc import Sequence

import orjson

from collectors.access_log.rows import StatsRow
from collectors.request_statistics.row_document import row_document, row_id
from k8s_manager.collector.kafka.cluster import KafkaCluster, KafkaUnavailable
from k8s_manager.collector.kafka.delivery import ANSWER_MS, TopicMessage, TopicWriter
from k8s_manager.collector.sinks.row_sink import SinkUnavailable


class KafkaSink:
    """A topic that takes rows. Raises `KafkaAbsent` where the client library is not installed.
    What the brokers do not acknowledge within `answer_ms` milliseconds is not written."""

    def __init__(self, cluster: KafkaCluster, topic: str, answer_ms: int = ANSWER_MS) -> None:
        self._topic, self._brokers, self._writer = topic, cluster.brokers, TopicWriter(cluster, answer_ms)

    @property
    def name(self) -> str:
        """The topic and its brokers."""
        return f"the topic {self._topic} at {self._brokers}"

    async def write(self, rows: Sequence[StatsRow]) -> int:
        """Return when the brokers have acknowledged all rows: how many they refuse for ever. Raises
        `SinkUnavailable`."""
        messages = [
            TopicMessage(self._topic, row_id(row.key).encode(), orjson.dumps(row_document(row))) for row in rows
        ]
        try:
            return await self._writer.write(messages)
        except KafkaUnavailable as error:
            raise SinkUnavailable(self.name, error.why) from error

    async def close(self) -> None:
        """Let go of the connections."""
        await self._writer.close()
