"""A topic of access-log lines, read in a consumer group. Every call blocks; all come from one thread.

A partition that another member takes over is forgotten at once, with its open windows: the next owner goes on at the
committed position, makes those windows again, and its rows replace what was written of them.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from collectors.access_log.engine import Engine
from collectors.access_log.envelope import unwrapped
from collectors.access_log.partition_progress import PartitionProgress, ReadPosition
from istio_templates.errors import Stalled
from k8s_manager.collector.kafka.cluster import LOG_LEVEL, KafkaCluster, library
from k8s_manager.collector.kafka.partition_state import CommitNote, OwnedPartition, note_of

log = logging.getLogger(__name__)
MESSAGES, WAIT = 10_000, 0.5
"""At most so many messages at once, and seconds to wait for them."""
ANSWER = 5.0
"""Seconds in which a broker must answer."""
SESSION_MS = 10_000
"""Milliseconds after which the group gives the partitions of a member that was killed to others."""


@dataclass(slots=True)
class LineBatch:
    """Lines of one partition that were read at once, and their offsets: the first, and the one after the last."""

    first: int
    after: int
    lines: list[bytes] = field(default_factory=list)


class LineTopic:
    """The partitions of a topic that this member of a group owns. Raises `KafkaAbsent`."""

    def __init__(
        self, cluster: KafkaCluster, topic: str, group: str, engine: Engine, forget: Callable[[str], None]
    ) -> None:
        self.name = f"the topic {topic} at {cluster.brokers}"
        self.owned: dict[int, OwnedPartition] = {}
        self.problem: str | None = "no broker has answered yet"
        self._topic, self._engine, self._forget = topic, engine, forget
        self._kafka, self._changed, self._is_stopping = library(), set[int](), False
        self._is_away = False
        settings = cluster.client(
            group_id=group,
            auto_offset_reset="earliest",
            enable_auto_commit=False,
            enable_partition_eof=True,
            partition_assignment_strategy="cooperative-sticky",
            allow_auto_create_topics=False,
            topic_metadata_refresh_interval_ms=30_000,
            session_timeout_ms=SESSION_MS,
        )
        self._consumer = self._kafka.Consumer({**settings, "log_level": LOG_LEVEL, "error_cb": self._warn}, logger=log)
        self._consumer.subscribe([topic], on_assign=self._assign, on_revoke=self._revoke, on_lost=self._lose)

    def read(self, wait: float = WAIT) -> dict[int, LineBatch]:
        """Return the lines that come within `wait` seconds, by partition. Raises `Stalled` where the group does not
        take this member any more."""
        batches: dict[int, LineBatch] = {}
        messages = self._consume(wait)
        if self._changed:
            self.commit()  # who reads a partition is known before its first row is written
        for message in messages:
            number, offset = message.partition(), message.offset()
            batch = batches.setdefault(number, LineBatch(offset, offset))
            batch.after = offset + 1
            batch.lines.append(unwrapped(message.value() or b""))
        for number in self._changed & batches.keys():  # some lines may be of the time before
            del batches[number]
            self._seek(number)
        self._changed.clear()
        return {number: batch for number, batch in batches.items() if number in self.owned}

    def hold(self, wait: float) -> None:
        """Stay in the group for some seconds without reading."""
        partitions = [self._place(number) for number in self.owned]
        self._consumer.pause(partitions)
        numbers = {message.partition() for message in self._consume(wait)}
        self._consumer.resume([self._place(number) for number in self.owned])
        for number in numbers & self.owned.keys():
            self._seek(number)

    def look(self, number: int) -> int | None:
        """Ask the brokers how many messages are behind the position of a partition; None where they do not answer."""
        owned = self.owned[number]
        try:
            _, end = self._consumer.get_watermark_offsets(self._place(number), timeout=ANSWER)
        except self._kafka.KafkaException as error:
            self._say(error.args[0].str())
            return None
        self._recover()
        return max(0, int(end) - max(owned.end, owned.progress.next))

    def commit(self) -> None:
        """Commit how far each partition has been read for good; where that fails, the next call commits it."""
        moved = {owned.number: at for owned in self.owned.values() if (at := self._reached(owned)) != owned.committed}
        if not moved:
            return
        places = [self._committed(self.owned[number], position) for number, position in moved.items()]
        try:
            answers = self._consumer.commit(offsets=places, asynchronous=False)
        except self._kafka.KafkaException as error:
            log.info("offsets of %s are not committed now (%s)", self.name, error.args[0].str())
            return
        for answer in answers:
            if answer.error is None:
                self.owned[answer.partition].committed = moved[answer.partition]

    def stop(self) -> None:
        """Make a call that waits for brokers return soon; any thread may say it."""
        self._is_stopping = True

    def close(self) -> None:
        """Commit, and leave the group."""
        self._consumer.close()

    def _consume(self, wait: float) -> list[Any]:
        """Return messages with a value; remember what went wrong."""
        try:
            found = self._consumer.consume(MESSAGES, wait)
        except self._kafka.KafkaException as error:
            raise Stalled(f"{self.name} cannot be read any more ({error.args[0].str()}); start it again") from error
        for message in found:
            if message.error() is not None:
                self._note(message)
        messages = [message for message in found if message.error() is None]
        if messages:
            self._recover()
        return messages

    def _note(self, message: Any) -> None:
        """Take note of an event that stands among the messages: the end of a partition, or a failure."""
        if message.error().code() != self._kafka.KafkaError._PARTITION_EOF:
            self._say(message.error().str())
        elif message.partition() in self.owned:
            self.owned[message.partition()].end = message.offset()

    def _warn(self, error: Any) -> None:
        self._say(error.str())

    def _say(self, problem: str) -> None:
        """Remember a problem, and log the first one since all was well."""
        if not self._is_away:
            log.warning("%s: %s; it is tried again", self.name, problem)
        self._is_away, self.problem = True, problem

    def _recover(self) -> None:
        if self._is_away:
            log.info("%s answers again", self.name)
        self._is_away, self.problem = False, None

    def _assign(self, consumer: Any, places: list[Any]) -> None:
        """Begin with partitions, where they were read to for good."""
        answers = self._begin(consumer, places)
        begins = []
        for answer in answers:
            note = note_of(answer.metadata)
            position = ReadPosition(max(0, answer.offset), note.floor)
            source = f"{self._topic}/{answer.partition}"
            generation = max(note.generation + 1, int(time.time()))
            self.owned[answer.partition] = OwnedPartition(
                answer.partition, source, generation, PartitionProgress(position)
            )
            self._changed.add(answer.partition)
            self._engine.begin(source, note.floor)
            begins.append(
                self._place(answer.partition, answer.offset if answer.offset >= 0 else self._kafka.OFFSET_BEGINNING)
            )
            log.info("reading %s from offset %d on", source, position.offset)
        consumer.incremental_assign(begins)
        consumer.resume(begins)  # what was paused when it was lost is paused still
        if not self._is_stopping:
            self._recover()

    def _begin(self, consumer: Any, places: list[Any]) -> list[Any]:
        """Return what is committed of partitions; where brokers are away, wait for them."""
        while not self._is_stopping:
            try:
                answers = consumer.committed(places, timeout=ANSWER)
            except self._kafka.KafkaException as error:
                self._say(error.args[0].str())
                continue
            return list(answers)
        return []

    def _revoke(self, _consumer: Any, places: list[Any]) -> None:
        self.commit()
        self._lose(_consumer, places)

    def _lose(self, consumer: Any, places: list[Any]) -> None:
        """Forget partitions that others read from now on."""
        for place in places:
            owned = self.owned.pop(place.partition, None)
            if owned is not None:
                self._changed.add(owned.number)
                self._engine.forget(owned.source)
                self._forget(owned.source)
                log.info("no longer reading %s", owned.source)
        consumer.incremental_unassign(places)

    def _reached(self, owned: OwnedPartition) -> ReadPosition:
        return owned.progress.position(self._engine.wanted(owned.source, 0))

    def _seek(self, number: int) -> None:
        """Read a partition again from behind its last line."""
        if number not in self.owned:
            return
        try:
            self._consumer.seek(self._place(number, self.owned[number].progress.next))
        except self._kafka.KafkaException as error:
            if error.args[0].code() != self._kafka.KafkaError._STATE:  # it has not begun, and begins there
                raise Stalled(f"{self.name} cannot be read again ({error.args[0].str()}); start it again") from error

    def _committed(self, owned: OwnedPartition, position: ReadPosition) -> Any:
        metadata = CommitNote(position.floor, owned.generation).text()
        return self._kafka.TopicPartition(self._topic, owned.number, position.offset, metadata=metadata)

    def _place(self, number: int, offset: int = 0) -> Any:
        return self._kafka.TopicPartition(self._topic, number, offset)
