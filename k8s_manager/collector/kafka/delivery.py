"""Messages to topics, each acknowledged by all replicas that are in sync before the writer goes on."""

import asyncio
import logging
import threading
from collections.abc import Sequence
from typing import Any, NamedTuple

from k8s_manager.collector.kafka.cluster import LOG_LEVEL, KafkaCluster, KafkaUnavailable, library

log = logging.getLogger(__name__)
ANSWER_MS = 10_000
"""Milliseconds in which a message must be acknowledged; afterwards Kafka counts as away."""
POLL = 0.1
"""Seconds."""
SETTINGS = {
    "enable.idempotence": True,
    "acks": "all",
    "compression.type": "lz4",
    "linger.ms": 5,
    "log_level": LOG_LEVEL,
}


class TopicMessage(NamedTuple):
    """What is written: to which topic, under which key, and the value."""

    topic: str
    key: bytes
    value: bytes


class _Answers:
    """The answers to the messages of one call. Any thread may take an answer; one thread sends."""

    def __init__(self) -> None:
        self.sent, self._errors = 0, list[Any]()

    @property
    def is_complete(self) -> bool:
        """Whether nothing is under way."""
        return len(self._errors) >= self.sent

    def note(self, error: Any, _message: Any = None) -> None:
        """Take one answer: None, or an error."""
        self._errors.append(error)

    def errors(self) -> list[Any]:
        """Return what went wrong."""
        return [error for error in self._errors if error is not None]


class TopicWriter:
    """Writes messages to the topics of a cluster; any number of calls may run side by side."""

    def __init__(self, cluster: KafkaCluster, answer_ms: int = ANSWER_MS) -> None:
        self._settings = {**cluster.client(), **SETTINGS, "message.timeout.ms": answer_ms}
        self._settings["error_cb"] = self._note
        self._why = ""
        self._cluster, self._kafka, self._lock = cluster, library(), threading.Lock()
        errors = self._kafka.KafkaError
        self._refusals = frozenset({errors.MSG_SIZE_TOO_LARGE, errors.INVALID_RECORD, errors.INVALID_MSG})
        self._producer: Any = None

    async def write(self, messages: Sequence[TopicMessage]) -> int:
        """Return when all messages are acknowledged: how many of them Kafka refuses for ever, such as for their size.

        Raises `KafkaUnavailable`; then some of them may be in their topics, or come there later.
        """
        return await asyncio.to_thread(self._write, messages) if messages else 0

    async def close(self) -> None:
        """Let go of the connections; nothing is under way any more."""
        self._producer = None

    def _write(self, messages: Sequence[TopicMessage]) -> int:
        producer, answers = self._current(), _Answers()
        for message in messages:
            self._produce(producer, message, answers)
        while not answers.is_complete:
            producer.poll(POLL)
        errors = answers.errors()
        failure = next((error for error in errors if error.code() not in self._refusals), None)
        if failure is None:
            self._why = ""
            return len(errors)
        if any(error.fatal() for error in errors):
            self._drop(producer)
        raise KafkaUnavailable(f"Kafka at {self._cluster.brokers}", ": ".join(filter(None, (failure.str(), self._why))))

    def _note(self, error: Any) -> None:
        """Remember why connections fail, which the answers to messages do not say."""
        self._why = error.str()

    def _produce(self, producer: Any, message: TopicMessage, answers: _Answers) -> None:
        """Hand a message to the producer, and wait where its queue is full."""
        answers.sent += 1
        while True:
            try:
                producer.produce(message.topic, message.value, message.key, on_delivery=answers.note)
            except BufferError:
                producer.poll(POLL)
                continue
            except self._kafka.KafkaException as error:
                answers.note(error.args[0])
            producer.poll(0)
            return

    def _current(self) -> Any:
        with self._lock:
            if self._producer is None:
                self._producer = self._kafka.Producer(self._settings, logger=log)
            return self._producer

    def _drop(self, producer: Any) -> None:
        """Give up a producer that can write nothing any more; the next call makes another one."""
        with self._lock:
            if self._producer is producer:
                self._producer = None
