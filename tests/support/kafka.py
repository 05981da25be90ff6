"""Brokers inside librdkafka: Kafka's protocol without Kafka, for what needs no lasting data."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from typing import Any

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

from tests.support.bounds import hung
from tests.support.waiting import until

PARTITIONS = 4
"""Of each topic, which is made when a client names it."""


@asynccontextmanager
async def mock_brokers(*topics: str) -> AsyncIterator[str]:
    """Brokers with some topics until the block ends; yield their addresses."""
    owner = Producer({"test.mock.num.brokers": 1, "log_level": 0})
    found = await asyncio.to_thread(owner.list_topics, None, hung())
    address = ",".join(f"{broker.host}:{broker.port}" for broker in found.brokers.values())

    async def are_made() -> bool:
        return await asyncio.to_thread(_known, address, topics)

    await until(are_made, what=f"the topics {topics}")
    yield address
    del owner


def _known(address: str, topics: Iterable[str]) -> bool:
    client = Producer({"bootstrap.servers": address, "log_level": 0})
    return all(len(client.list_topics(topic, hung()).topics[topic].partitions) == PARTITIONS for topic in topics)


class TestTopic:
    """A topic that a test writes and reads."""

    __test__ = False

    def __init__(self, address: str, topic: str) -> None:
        self._topic = topic
        self._producer = Producer({"bootstrap.servers": address, "log_level": 0})
        self._reader = Consumer({"bootstrap.servers": address, "group.id": "test-reader", "log_level": 0})
        self._reader.assign([TopicPartition(topic, number, 0) for number in range(PARTITIONS)])

    async def write(self, partition: int, values: Iterable[bytes]) -> None:
        """Return when all values are in a partition."""
        for value in values:
            self._producer.produce(self._topic, value, partition=partition)
        assert await asyncio.to_thread(self._producer.flush, hung()) == 0

    async def messages(self, count: int) -> list[Any]:
        """Return the next messages, at least so many, in the order of each partition."""
        out: list[Any] = []

        async def are_there() -> bool:
            found = await asyncio.to_thread(self._reader.consume, 1000, 0.1)
            out.extend(message for message in found if message.error() is None)
            return len(out) >= count

        await until(are_there, what=f"{count} messages in {self._topic}")
        return out

    def close(self) -> None:
        self._reader.close()


def committed(address: str, group: str, topic: str) -> Iterator[TopicPartition]:
    """Yield what a group has committed of each partition."""
    client = Consumer({"bootstrap.servers": address, "group.id": group, "log_level": 0})
    try:
        yield from client.committed([TopicPartition(topic, number) for number in range(PARTITIONS)], timeout=hung())
    except KafkaException:
        return
    finally:
        client.close()
