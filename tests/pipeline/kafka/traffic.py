"""Lines of many tenants in a topic, what must be counted of them, and what was."""

import asyncio
import random
from collections import Counter
from typing import NamedTuple

import orjson
from confluent_kafka import Consumer, Producer, TopicPartition

from collectors.access_log.rows import WINDOW, StatsRow
from collectors.request_statistics.row_document import row_of
from tests.collectors.access_log.lines import LIMITED, line
from tests.support.bounds import hung

TENANTS, MODELS = 40, 5
JITTER = 2.0
"""Seconds by which lines are out of order."""


class Counted(NamedTuple):
    """What is compared of one model and window."""

    requests: int = 0
    limited: int = 0
    bytes_in: int = 0
    latency_us: int = 0


Windows = dict[tuple[str, str, int], Counted]


def added(one: Counted, other: Counted) -> Counted:
    return Counted(*map(sum, zip(one, other, strict=True)))


class LineTraffic:
    """Writes lines of a span of time into a topic, each keyed by its tenant."""

    def __init__(self, brokers: str, topic: str, begin: float, seed: int = 7) -> None:
        self._topic, self._begin, self._random = topic, begin, random.Random(seed)
        self._producer = Producer(
            {"bootstrap.servers": brokers, "enable.idempotence": True, "compression.type": "lz4", "log_level": 0}
        )
        self.expected: Windows = {}
        self.written = 0

    async def write(self, count: int, seconds: float) -> None:
        """Write lines about the next seconds, and return when all are in the topic."""
        failures = Counter[str]()
        for place in range(count):
            moment = round(self._begin + seconds * place / count - self._random.uniform(0, JITTER), 3)
            tenant, model = f"t{self._random.randrange(TENANTS)}", f"m{self._random.randrange(MODELS)}"
            limited, size = self._random.random() < 0.1, self._random.randrange(1000)
            duration = 0 if limited else self._random.randrange(1, 1_000_000)
            values = LIMITED if limited else {"duration_us": duration}
            value = line(moment, tenant, model, bytes_in=size, **values)
            self._producer.produce(
                self._topic, value, tenant, on_delivery=lambda error, _: error and failures.update([str(error)])
            )
            self._producer.poll(0)
            key = (tenant, model, int(moment) // WINDOW * WINDOW)
            self.expected[key] = added(self.expected.get(key, Counted()), Counted(1, limited, size, duration))
            if place % 500 == 0:
                await asyncio.sleep(0)
        left = await asyncio.to_thread(self._producer.flush, hung())
        assert (left, failures) == (0, {})
        self._begin += seconds
        self.written += count


class RowTopic:
    """Reads the rows of a topic as its consumers see them: of each key the last one."""

    def __init__(self, brokers: str, topic: str, partitions: int = 4) -> None:
        self._consumer = Consumer(
            {"bootstrap.servers": brokers, "group.id": "reader", "enable.auto.commit": False, "log_level": 0}
        )
        self._consumer.assign([TopicPartition(topic, number, 0) for number in range(partitions)])
        self.last: dict[str, StatsRow] = {}
        self.newest: dict[str, StatsRow] = {}
        self.read = 0

    async def counted(self) -> Windows:
        """Return what all rows that were written until now say of models."""
        while messages := await asyncio.to_thread(self._consumer.consume, 10_000, 0.5):
            for message in messages:
                if message.error() is None:
                    self._take(message.key().decode(), row_of(orjson.loads(message.value())))
        out: Windows = {}
        for row in self.last.values():
            if row.key.place.level == "model":
                key = (row.key.place.tenant, row.key.place.model, row.key.start)
                found = Counted(row.requests, row.count("limited"), row.bytes_in, row.latency_sum)
                out[key] = added(out.get(key, Counted()), found)
        return out

    def close(self) -> None:
        self._consumer.close()

    def _take(self, key: str, row: StatsRow) -> None:
        self.read += 1
        self.last[key] = row
        if key not in self.newest or row.revision >= self.newest[key].revision:
            self.newest[key] = row
