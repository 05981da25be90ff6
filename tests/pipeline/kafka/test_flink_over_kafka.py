"""The rendered Flink SQL between two topics of a real Kafka: the rows of the engine, each once.

`TIDEGATE_PIPELINE_LINES` says how many lines (a million take some minutes).
"""

import asyncio
import os
import time
from dataclasses import replace
from pathlib import Path

import orjson
from confluent_kafka import Consumer, KafkaError, TopicPartition

from collectors.access_log.engine import Engine
from collectors.access_log.rows import StatsRow
from collectors.access_log.sql.flink_sql import SOURCE, FlinkTables, flink_sql, kafka_tables
from collectors.access_log.windows import OFFLINE
from collectors.request_statistics.row_document import row_of
from tests.pipeline.flink_runner import run_script
from tests.support.bounds import hung

LINES = int(os.environ.get("TIDEGATE_PIPELINE_LINES", "100000"))
PARTITIONS, BATCH, STEP = 4, 10_000, 5_000


def bounded(tables: FlinkTables) -> FlinkTables:
    """Return tables whose lines end where they end now, so that the job ends too, and closes its last windows."""
    ends = {"scan.startup.mode": "earliest-offset", "scan.bounded.mode": "latest-offset"}
    return replace(tables, lines={**tables.lines, **ends})


def messages(brokers: str, topic: str) -> list[list[tuple[bytes | None, bytes]]]:
    """Return keys and values of all committed messages of a topic, by partition."""
    settings = {"bootstrap.servers": brokers, "group.id": "flink-test", "enable.partition.eof": True, "log_level": 0}
    reader = Consumer(settings)
    out: list[list[tuple[bytes | None, bytes]]] = [[] for _ in range(PARTITIONS)]
    try:
        for number, found in enumerate(out):
            reader.assign([TopicPartition(topic, number, 0)])
            is_read, began = False, time.monotonic()
            while not is_read:
                batch = reader.consume(BATCH, 0.5)  # waits for that many, or for so long
                assert time.monotonic() - began < hung(), f"nothing more comes from {topic}"
                found += [(one.key(), one.value()) for one in batch if one.error() is None]
                is_read = any(one.error() and one.error().code() == KafkaError._PARTITION_EOF for one in batch)
    finally:
        reader.close()
    return out


async def test_flink_writes_the_rows_of_the_engine_into_kafka_each_once(pipeline, tmp_path: Path):
    for _ in range(LINES // STEP):
        await pipeline.traffic.write(STEP, 60 * STEP / LINES * 8)
    script = tmp_path / "rows.sql"
    script.write_text(flink_sql(bounded(kafka_tables(pipeline.broker.address, "lines", "rows")), SOURCE))
    began = time.monotonic()
    await asyncio.to_thread(run_script, script)
    print(f"\n{LINES} lines through Flink over Kafka in {time.monotonic() - began:.0f} s")
    written = [pair for part in await asyncio.to_thread(messages, pipeline.broker.address, "rows") for pair in part]
    rows = [row_of(orjson.loads(value)) for _, value in written]
    assert len({key for key, _ in written}) == len(written), "no row is written twice"
    assert by_key(rows) == by_key(await asyncio.to_thread(rows_of_the_engine, pipeline.broker.address))
    assert await pipeline.rows.counted() == pipeline.traffic.expected
    assert sum(found.requests for found in pipeline.traffic.expected.values()) == LINES


def by_key(rows: list[StatsRow]) -> list[StatsRow]:
    return sorted(rows, key=lambda row: row.key)


def rows_of_the_engine(brokers: str) -> list[StatsRow]:
    engine = Engine(lateness=OFFLINE)
    parts = messages(brokers, "lines")
    found = [row for part in parts for row in engine.feed(SOURCE, [value for _, value in part])]
    return [*found, *engine.end(SOURCE)]
