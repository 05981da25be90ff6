"""Lines from a topic: what is committed, what a sink that is away holds back, and members that come and go."""

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import orjson
import pytest
from prometheus_client import CollectorRegistry, generate_latest

from collectors.access_log.rows import WINDOW, RowKey, StatsRow
from k8s_manager.collector.kafka.cluster import KafkaCluster
from k8s_manager.collector.kafka.line_collector import LineCollector
from k8s_manager.collector.kafka.partition_state import CommitNote, note_of
from k8s_manager.collector.kafka.topic_metrics import topic_metrics
from k8s_manager.collector.request_metrics import Snapshot
from k8s_manager.collector.sinks.row_sink import SinkUnavailable
from k8s_manager.runtime.clock import SystemClock
from k8s_manager.traces.span_endpoint import recording
from k8s_manager.traces.spans import NO_SPANS, SpanRecorder
from tests.collectors.access_log.lines import BEGIN, line
from tests.k8s_manager.traces.receiver import span_receiver
from tests.support.kafka import PARTITIONS, TestTopic, committed, mock_brokers
from tests.support.waiting import until

LATER = BEGIN + 10 * WINDOW


class ScriptedSink:
    """A sink in memory, which is away for as long as the test says."""

    name = "the test's sink"

    def __init__(self) -> None:
        self.is_away, self.refusals = False, 0
        self.rows: dict[RowKey, StatsRow] = {}

    async def write(self, rows: Sequence[StatsRow]) -> int:
        if self.is_away:
            self.refusals += 1
            raise SinkUnavailable(self.name, "it is away")
        for row in rows:
            if row.key not in self.rows or self.rows[row.key].revision < row.revision:
                self.rows[row.key] = row
        return 0

    async def close(self) -> None:
        return None

    def requests(self) -> dict[tuple[str, int], int]:
        """Return the requests of all, by source and window."""
        return {
            (key.source, key.start): row.requests for key, row in self.rows.items() if key.place.level == "platform"
        }


class Group:
    """Brokers with a topic of lines, and a sink for all members of the group."""

    def __init__(self, address: str) -> None:
        self.address, self.sink = address, ScriptedSink()
        self.lines = TestTopic(address, "lines")

    @asynccontextmanager
    async def member(self, late: int = 0, spans: SpanRecorder = NO_SPANS) -> AsyncIterator[LineCollector]:
        cluster = KafkaCluster(self.address)
        collector = LineCollector(cluster, "lines", "readers", [self.sink], SystemClock(), late, spans)
        task = asyncio.create_task(collector.run())
        try:
            yield collector
        finally:
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    def committed(self) -> dict[int, tuple[int, CommitNote]]:
        found = committed(self.address, "readers", "lines")
        return {place.partition: (place.offset, note_of(place.metadata)) for place in found}

    async def until_committed(self, partition: int, offset: int) -> CommitNote:
        async def is_there() -> CommitNote | None:
            found = await asyncio.to_thread(self.committed)
            return found[partition][1] if partition in found and found[partition][0] == offset else None

        note = await until(is_there, what=f"offset {offset} of partition {partition}")
        assert note is not None
        return note


@pytest.fixture
async def group() -> AsyncIterator[Group]:
    async with mock_brokers("lines") as address:
        made = Group(address)
        yield made
        made.lines.close()


def metric(collector: LineCollector, name: str) -> float:
    registry = CollectorRegistry()
    registry.register(Snapshot(topic_metrics(collector)))
    return float(re.findall(rf"^{name} (\S+)$", generate_latest(registry).decode(), re.M)[0])


async def test_what_is_written_to_a_sink_is_a_span_in_its_pass(group: Group):
    async with span_receiver() as receiver:
        async with recording(receiver.url, "tidegate-collector", "one") as spans, group.member(spans=spans):
            await group.lines.write(0, [line(BEGIN), line(LATER)])
            await until(lambda: ("lines/0", BEGIN) in group.sink.requests())
        (written, *_) = receiver.named("write rows to the test's sink")
        assert written.attributes["tidegate.rows"] >= 1 and not written.failed
        assert written.parent in {span.id for span in receiver.named("collector pass")}


async def test_each_partition_is_a_source_and_its_open_window_is_not_committed(group: Group):
    async with group.member() as collector:
        await group.lines.write(0, [line(BEGIN), line(BEGIN + 1)])
        await until(lambda: collector.engine.counts.counted == 2)
        await group.lines.write(0, [line(LATER)])
        await group.lines.write(3, [line(BEGIN), line(LATER)])
        first, second = ("lines/0", BEGIN), ("lines/3", BEGIN)
        await until(lambda: {first, second} <= group.sink.requests().keys())
        assert (group.sink.requests()[first], group.sink.requests()[second]) == (2, 1)
        assert (await group.until_committed(0, 2)).floor == LATER - WINDOW


async def test_where_nothing_more_comes_the_clock_closes_windows_and_all_is_committed(group: Group):
    async with group.member() as collector:
        wrapped = orjson.dumps({"log": line(BEGIN).decode()})
        await group.lines.write(1, [line(BEGIN), wrapped, b"not a line"])
        await until(lambda: group.sink.requests() == {("lines/1", BEGIN): 2})
        note = await group.until_committed(1, 3)
        assert note.floor > BEGIN
        assert metric(collector, "tidegate_collector_partitions") == PARTITIONS
        assert metric(collector, "tidegate_collector_unread_messages") == 0
        await until(lambda: metric(collector, "tidegate_collector_uncommitted_messages") == 0)


async def test_while_a_sink_is_away_nothing_is_committed_and_nothing_is_lost(group: Group):
    group.sink.is_away = True
    async with group.member() as collector:
        await group.lines.write(0, [line(BEGIN), line(LATER)])
        await until(lambda: group.sink.refusals > 1)
        assert collector.problem is not None and "it is away" in collector.problem
        assert metric(collector, "tidegate_collector_held") == 1
        await group.lines.write(0, [line(LATER + 1), line(LATER + 5 * WINDOW)])
        assert (await group.until_committed(0, 0)).floor == 0
        group.sink.is_away = False
        expected = {("lines/0", BEGIN): 1, ("lines/0", LATER): 2}
        await until(lambda: expected.items() <= group.sink.requests().items())
        await until(lambda: collector.topic.owned[0].committed and collector.topic.owned[0].committed.offset >= 2)
        assert metric(collector, "tidegate_collector_held") == 0


async def test_the_next_collector_makes_open_windows_again_and_its_revisions_are_higher(group: Group):
    async with group.member(late=600) as collector:
        await group.lines.write(0, [line(BEGIN), line(LATER)])
        await until(lambda: group.sink.requests().get(("lines/0", BEGIN)) == 1)
        before = {key: row.revision for key, row in group.sink.rows.items()}
        generation = collector.topic.owned[0].generation
    assert (await group.until_committed(0, 0)).generation == generation
    await group.lines.write(0, [line(BEGIN + 2), line(LATER + 5 * WINDOW)])
    async with group.member(late=600) as collector:
        await until(lambda: group.sink.requests().get(("lines/0", BEGIN)) == 2)
        assert collector.topic.owned[0].generation > generation
        assert all(group.sink.rows[key].revision > revision for key, revision in before.items() if key.start == BEGIN)


async def test_late_lines_of_windows_that_were_complete_do_not_make_a_part_of_a_row(group: Group):
    async with group.member() as collector:
        await group.lines.write(0, [line(BEGIN)])
        await until(lambda: collector.engine.counts.counted == 1)
        await group.lines.write(0, [line(LATER), line(BEGIN + 1)])
        await until(lambda: group.sink.requests().get(("lines/0", BEGIN)))
        await group.until_committed(0, 1)
    before = dict(group.sink.requests())
    await group.lines.write(0, [line(LATER + 5 * WINDOW)])
    async with group.member() as collector:
        await until(lambda: group.sink.requests().get(("lines/0", LATER)))
        assert collector.engine.counts.repeated == 1
    assert group.sink.requests()["lines/0", BEGIN] == before["lines/0", BEGIN]


async def test_a_partition_that_another_member_takes_leaves_no_part_of_a_row(group: Group):
    async with group.member(late=600) as first:
        for partition in range(PARTITIONS):
            await group.lines.write(partition, [line(BEGIN), line(BEGIN + 1)])
        await until(lambda: first.engine.counts.counted == 2 * PARTITIONS)
        async with group.member(late=600) as second:
            await until(lambda: len(first.topic.owned) == len(second.topic.owned) == PARTITIONS // 2)
            for number in second.topic.owned:
                assert first.engine.windows(f"lines/{number}") == frozenset()
            for partition in range(PARTITIONS):
                await group.lines.write(partition, [line(BEGIN + 2), line(LATER)])
            expected = {(f"lines/{number}", BEGIN): 3 for number in range(PARTITIONS)}
            await until(lambda: expected.items() <= group.sink.requests().items())
        await until(lambda: len(first.topic.owned) == PARTITIONS)
    rows = [row for row in group.sink.rows.values() if row.key.place.level == "platform" and row.key.start == BEGIN]
    assert [row.requests for row in rows] == [3] * PARTITIONS


@pytest.mark.parametrize("metadata", [None, "", "another program", "[]", '{"floor": "x"}'])
def test_a_commit_of_another_program_is_read_as_one_that_says_nothing(metadata):
    assert note_of(metadata) == CommitNote(0, 0)


def test_a_commit_says_what_it_was_given():
    assert note_of(CommitNote(BEGIN, 7).text()) == CommitNote(BEGIN, 7)
