"""The endpoint of remote write: what Prometheus sends goes to Kafka, and it is answered when it is kept there.

Prometheus sends again what was answered by 5xx or 429, and drops for ever what was answered by another 4xx. So 503 says
that Kafka is away, and 4xx only that a body could never be taken.
"""

import asyncio
import logging
import socket
from collections.abc import Sequence
from typing import Protocol

from fastapi import FastAPI, Request
from fastapi.responses import PlainTextResponse, Response
from prometheus_client import CollectorRegistry, Counter, Gauge

from collectors.remote_write import OversizedWrite, UndecodableWrite, WriteContent, decoded
from k8s_manager.api.listener.server import serve
from k8s_manager.collector.kafka.cluster import KafkaCluster, KafkaUnavailable, library
from k8s_manager.collector.kafka.delivery import TopicMessage, TopicWriter
from k8s_manager.collector.kafka.sample_topics import SampleTopics
from k8s_manager.collector.probe_pages import probed
from k8s_manager.manager import stop_signal
from k8s_manager.traces.span_endpoint import recording
from k8s_manager.traces.spans import NO_SPANS, SpanRecorder

log = logging.getLogger(__name__)
PATHS = ("/api/v1/write", "/receive")
"""Prometheus' own path, and that of Telefonica's adapter."""
BODY_MAX, PLAIN_MAX = 2 * 2**20, 8 * 2**20
"""Bytes of a body, as it comes and when it is decompressed; Prometheus sends a tenth of that."""
AT_ONCE = 8
"""Requests that are worked on at once; those beyond are sent again by Prometheus."""
RETRY_AFTER = {"Retry-After": "5"}


class MessageWriter(Protocol):
    """Writes messages for good, as `TopicWriter` does."""

    async def write(self, messages: Sequence[TopicMessage]) -> int:
        """Return how many are refused for ever; raises `KafkaUnavailable`."""


class WriteMetrics:
    """What the endpoint counts."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "tidegate_remote_write_requests", "Requests by their answer.", ["code"], registry=self.registry
        )
        self.samples = Counter(
            "tidegate_remote_write_samples",
            "Samples: written, refused by Kafka for ever, stale (markers of ended series, left out).",
            ["result"],
            registry=self.registry,
        )
        self.histograms = Counter(
            "tidegate_remote_write_histograms", "Native histograms, which are left out.", registry=self.registry
        )
        self.held = Gauge("tidegate_remote_write_held", "Whether Kafka is away now.", registry=self.registry)
        self.under_way = Gauge("tidegate_remote_write_in_flight", "Requests under way.", registry=self.registry)

    def count(self, content: WriteContent, refused: int) -> None:
        """Count what a request has brought."""
        self.samples.labels("written").inc(len(content.samples) - refused)
        self.samples.labels("refused").inc(refused)
        self.samples.labels("stale").inc(content.stale)
        self.histograms.inc(content.histograms)


class RemoteWriteEndpoint:
    """Takes requests of remote write 1.0."""

    def __init__(self, writer: MessageWriter, topics: SampleTopics, spans: SpanRecorder = NO_SPANS) -> None:
        self._writer, self._topics, self._spans = writer, topics, spans
        self.metrics = WriteMetrics()
        self.problem: str | None = None
        self._under_way = 0

    async def take(self, request: Request) -> Response:
        """Return the answer to a request."""
        if self._under_way >= AT_ONCE:
            answer: Response = PlainTextResponse("too many requests at once; send it again\n", 503, RETRY_AFTER)
        else:
            self._under_way += 1
            self.metrics.under_way.set(self._under_way)
            try:
                answer = await self._answer(request)
            finally:
                self._under_way -= 1
                self.metrics.under_way.set(self._under_way)
        self.metrics.requests.labels(str(answer.status_code)).inc()
        return answer

    async def _answer(self, request: Request) -> Response:
        if problem := _foreign(request):
            return PlainTextResponse(f"{problem}\n", 415)
        try:
            body = await _body(request)
            content = await asyncio.to_thread(decoded, body, PLAIN_MAX)
        except OversizedWrite as error:
            return PlainTextResponse(f"{error}\n", 413)
        except UndecodableWrite as error:
            return PlainTextResponse(f"{error}\n", 400)
        messages = await asyncio.to_thread(lambda: [self._topics.message(sample) for sample in content.samples])
        try:
            with self._spans.span("write samples to Kafka", {"tidegate.samples": len(messages)}):
                refused = await self._writer.write(messages)
        except KafkaUnavailable as error:
            if self.problem is None:
                log.warning("%s", error)
            self.problem = str(error)
            self.metrics.held.set(1)
            return PlainTextResponse(f"{error}\n", 503, RETRY_AFTER)
        self.problem = None
        self.metrics.held.set(0)
        self.metrics.count(content, refused)
        return Response(status_code=204)


def _foreign(request: Request) -> str:
    """Return why a request is none of remote write 1.0; empty where it is one."""
    kind, _, parameters = request.headers.get("content-type", "").partition(";")
    is_first = "proto=" not in parameters or "proto=prometheus.WriteRequest" in parameters
    if kind.strip() != "application/x-protobuf" or not is_first:
        return "only application/x-protobuf of remote write 1.0 is taken; set protobuf_message: prometheus.WriteRequest"
    if request.headers.get("content-encoding", "") != "snappy":
        return "only Content-Encoding: snappy is taken"
    return ""


async def _body(request: Request) -> bytes:
    """Return the body of a request; raises `OversizedWrite` as soon as it is too large."""
    length = request.headers.get("content-length", "")
    size = int(length) if length.isdecimal() else 0
    pieces = bytearray()
    if size <= BODY_MAX:
        async for piece in request.stream():
            pieces += piece
            size = max(size, len(pieces))
            if size > BODY_MAX:
                break
    if size > BODY_MAX:
        raise OversizedWrite(size, BODY_MAX)
    return bytes(pieces)


def endpoint_application(endpoint: RemoteWriteEndpoint, spans: SpanRecorder = NO_SPANS) -> FastAPI:
    """Return what is served: the paths of remote write, whether the process lives, and metrics."""
    # Whether Kafka is there is no matter of readiness: without requests the endpoint would never learn that it is back.
    app = probed("Tidegate remote write", list, lambda: [endpoint.metrics.registry], spans)
    for path in PATHS:
        app.add_api_route(path, endpoint.take, methods=["POST"], response_model=None)
    return app


async def run(
    cluster: KafkaCluster, topics: SampleTopics, listen: tuple[str, int], traces_url: str | None = None
) -> None:
    """Serve until SIGTERM or SIGINT. Raises `KafkaAbsent`, and `Stalled` where nothing can listen there."""
    library("cramjam")
    async with recording(traces_url, "tidegate-remote-write", socket.gethostname()) as spans:
        endpoint = RemoteWriteEndpoint(TopicWriter(cluster), topics, spans)
        await serve(endpoint_application(endpoint, spans), listen, stop_signal())
    log.info("stopped")
