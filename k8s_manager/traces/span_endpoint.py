"""Where spans go: nowhere, or to the OTLP/HTTP endpoint that an operator names."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from istio_templates.errors import Invalid, Problem, Stalled
from k8s_manager.traces.spans import NO_SPANS, SpanRecorder

_ENDPOINT = re.compile(r"https?://[^/?#@\s]+(/[^?#@\s]*)?")
PATH = "/v1/traces"
"""Where OTLP/HTTP takes spans, unless an address says otherwise."""


class TracingAbsent(Stalled):
    """Spans are to be sent, and what does that is not installed."""

    def __init__(self) -> None:
        super().__init__("--traces: OpenTelemetry's SDK is not installed; pip install 'tidegate[tracing]'")


@asynccontextmanager
async def recording(url: str | None, service: str, instance: str) -> AsyncIterator[SpanRecorder]:
    """Record the spans of one process of a service while the context lasts, and send what is left when it ends, for a
    bounded while. Without a URL nothing is recorded. Raises `Invalid`, and `TracingAbsent`."""
    if url is None:
        yield NO_SPANS
        return
    spans = recorder_at(url, service, instance)
    try:
        yield spans
    finally:
        await asyncio.to_thread(spans.close)


def recorder_at(url: str, service: str, instance: str) -> SpanRecorder:
    """Return what sends spans to an endpoint, beside the event loop; raises `Invalid`, and `TracingAbsent`."""
    endpoint = endpoint_at(url)
    try:
        from k8s_manager.traces.otlp_spans import OtlpSpans
    except ImportError as error:
        raise TracingAbsent from error
    return OtlpSpans(endpoint, service, instance)


def endpoint_at(url: str) -> str:
    """Return the whole address of an endpoint; raises `Invalid` for what is none."""
    found = _ENDPOINT.fullmatch(url)
    if found is None:
        shown = "an address with credentials" if "@" in url else repr(url)
        said = (
            f"{shown} is no OTLP/HTTP endpoint; write it like http://otel-collector:4318, and put a token into "
            "OTEL_EXPORTER_OTLP_HEADERS"
        )
        raise Invalid("--traces", [Problem("", said)])
    return url if found[1] not in (None, "/") else url.rstrip("/") + PATH
