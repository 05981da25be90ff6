"""Rows go to a topic under their key, and are there when the sink says so."""

from pathlib import Path

import orjson
import pytest

from collectors.access_log.outcomes import OUTCOMES
from collectors.access_log.rows import RowKey, RowPlace, StatsRow
from collectors.request_statistics.row_document import row_id, row_of
from istio_templates.errors import Invalid
from k8s_manager.collector.kafka.cluster import KafkaAbsent, KafkaCluster, cluster_of, library
from k8s_manager.collector.sinks.kafka_sink import KafkaSink
from k8s_manager.collector.sinks.row_sink import SinkUnavailable
from tests.support.kafka import TestTopic, mock_brokers
from tests.support.standalone import free_port


def row(model: str, revision: int = 0, latency: dict[int, int] | None = None) -> StatsRow:
    key = RowKey(RowPlace("model", "", "search", model), 1_764_430_000, "lines/0")
    return StatsRow(key, revision, tuple(range(len(OUTCOMES))), 10, 20, 30, latency or {3: 4})


async def test_rows_are_json_under_their_key_in_the_order_of_their_revisions():
    async with mock_brokers("rows") as address:
        sink = KafkaSink(KafkaCluster(address), "rows")
        rows = [row("ranker"), row("chat"), row("ranker", 1)]
        assert await sink.write(rows) == 0
        found, topic = [], TestTopic(address, "rows")
        for message in await topic.messages(3):
            value = row_of(orjson.loads(message.value()))
            assert message.key().decode() == row_id(value.key)
            found.append(value)
        assert sorted(found, key=rows.index) == rows
        assert [each.revision for each in found if each.key == rows[0].key] == [0, 1]
        topic.close()
        await sink.close()


async def test_a_row_that_is_too_large_is_refused_for_ever_and_the_others_are_kept():
    async with mock_brokers("rows") as address:
        sink = KafkaSink(KafkaCluster(address), "rows")
        large = row("large", latency=dict.fromkeys(range(100000), 2**60))
        assert await sink.write([row("ranker"), large, row("chat")]) == 1
        topic = TestTopic(address, "rows")
        assert {orjson.loads(message.value())["model"] for message in await topic.messages(2)} == {"ranker", "chat"}
        topic.close()


async def test_a_sink_whose_brokers_are_away_says_so():
    sink = KafkaSink(KafkaCluster(f"127.0.0.1:{free_port()}"), "rows", answer_ms=100)
    with pytest.raises(
        SinkUnavailable, match=r"rows cannot be written to the topic rows at 127.0.0.1:\d+ \(.*timed out.*"
    ):
        await sink.write([row("ranker")])


async def test_nothing_is_asked_of_brokers_where_there_are_no_rows():
    assert await KafkaSink(KafkaCluster("127.0.0.1:1"), "rows").write([]) == 0


def test_a_missing_package_is_named_with_what_installs_it():
    with pytest.raises(KafkaAbsent, match=r"confluent-kafka-x, which is not installed; pip install tidegate\[kafka\]"):
        library("confluent_kafka_x")


def test_settings_of_the_connection_come_from_a_file_and_are_not_shown(tmp_path: Path):
    file = tmp_path / "kafka.properties"
    file.write_text("# log in\nsecurity.protocol = SASL_SSL\nsasl.password=se=cret\n")
    cluster = cluster_of("kafka:9092", file)
    assert cluster.client(group_id="x") == {
        "client.id": "tidegate",
        "security.protocol": "SASL_SSL",
        "sasl.password": "se=cret",
        "bootstrap.servers": "kafka:9092",
        "group.id": "x",
    }
    assert "cret" not in repr(cluster)


@pytest.mark.parametrize(
    ("text", "said"), [("enable.idempotence=false\n", "enable.idempotence"), (None, "cannot be read")]
)
def test_a_file_with_other_settings_or_none_is_rejected(tmp_path: Path, text: str | None, said: str):
    file = tmp_path / "kafka.properties"
    if text is not None:
        file.write_text(text)
    with pytest.raises(Invalid, match=said):
        cluster_of("kafka:9092", file)
