"""A receiver of OTLP/HTTP in this process: what a collector of traces would get, decoded."""

import asyncio
import gzip
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


@dataclass(frozen=True)
class ReceivedSpan:
    """One span as it was sent."""

    service: str
    name: str
    kind: int
    trace: str
    id: str
    parent: str
    failed: bool
    attributes: dict[str, Any]


@dataclass
class SpanReceiver:
    """Takes spans, or answers `status`, or nothing at all while it `hangs`."""

    url: str = ""
    status: int = 200
    hangs: bool = False
    paths: list[str] = field(default_factory=list)
    spans: deque[ReceivedSpan] = field(default_factory=deque)

    def named(self, *names: str) -> list[ReceivedSpan]:
        """Return the spans of these names."""
        return [span for span in self.spans if span.name in names]

    async def take(self, request: web.Request) -> web.Response:
        """Answer one export."""
        body = await request.read()
        if self.hangs:
            await asyncio.Event().wait()
        if self.status == 200:
            self.paths.append(request.path)
            self.spans.extend(_decoded(body))
        return web.Response(status=self.status)


@asynccontextmanager
async def span_receiver() -> AsyncIterator[SpanReceiver]:
    """Run a receiver."""
    receiver, app = SpanReceiver(), web.Application()
    app.router.add_post("/{path:.*}", receiver.take)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield receiver
    finally:
        await runner.cleanup()


def _decoded(body: bytes) -> list[ReceivedSpan]:
    message = ExportTraceServiceRequest()
    message.ParseFromString(gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body)
    return [
        ReceivedSpan(
            service=_attributes(group.resource.attributes)["service.name"],
            name=span.name,
            kind=span.kind,
            trace=span.trace_id.hex(),
            id=span.span_id.hex(),
            parent=span.parent_span_id.hex(),
            failed=span.status.code == 2,
            attributes=_attributes(span.attributes),
        )
        for group in message.resource_spans
        for scope in group.scope_spans
        for span in scope.spans
    ]


def _attributes(pairs: Any) -> dict[str, Any]:
    return {pair.key: _value(pair.value) for pair in pairs}


def _value(value: Any) -> Any:
    found = getattr(value, value.WhichOneof("value"))
    return [_value(item) for item in found.values] if value.WhichOneof("value") == "array_value" else found
