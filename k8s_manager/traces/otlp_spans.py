"""Spans by OpenTelemetry's SDK. The only module here that needs it, with the queue that it sends by."""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import requests
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from k8s_manager.traces.span_queue import SpanQueue
from k8s_manager.traces.spans import Attributes

PATIENCE = 5.0
"""Seconds for one attempt to send spans, with its repetitions."""
_PROBES = ("/healthz", "/livez", "/readyz", "/metrics")
_W3C = TraceContextTextMapPropagator()


class OtlpSpans:
    """Records spans and sends them to an endpoint. The tracer is its own: libraries that look for a global one find
    none, and send nothing."""

    is_on = True

    def __init__(self, endpoint: str, service: str, instance: str) -> None:
        names = {"service.name": service, "service.instance.id": instance, "service.version": _version()}
        session = requests.Session()
        session.trust_env = False
        exporter = OTLPSpanExporter(endpoint=endpoint, timeout=PATIENCE, session=session)
        self._queue = SpanQueue(exporter, endpoint)
        self._provider = TracerProvider(resource=Resource.create(names), shutdown_on_exit=False)
        self._provider.add_span_processor(self._queue)
        self._tracer = self._provider.get_tracer("tidegate")

    @contextmanager
    def span(self, name: str, attributes: Attributes | None = None, is_call: bool = False) -> Iterator[None]:
        """Return a context that is one span; one that ends by an exception has failed."""
        kind = SpanKind.CLIENT if is_call else SpanKind.INTERNAL
        with self._tracer.start_as_current_span(
            name, kind=kind, attributes=attributes, record_exception=False, set_status_on_exception=False
        ) as span:
            try:
                yield
            except BaseException as error:
                span.set_attribute("error.type", type(error).__name__)
                span.set_status(StatusCode.ERROR)
                raise

    def note(self, attributes: Attributes) -> None:
        """Add attributes to the current span."""
        span = trace.get_current_span()
        if span.is_recording():
            span.set_attributes(dict(attributes))

    def headers(self) -> Mapping[str, str]:
        """Return `traceparent` of the current span; nothing without one."""
        found: dict[str, str] = {}
        _W3C.inject(found)
        return found

    def served_calls(self) -> dict[str, Any]:
        """Return FastAPI's settings for one span per call, those of Kubernetes and Prometheus left out."""
        return {
            "tracer_provider": self._provider,
            "tracing": True,
            "operation_spans": False,
            "metrics": False,
            "logs": False,
            "auto_configure": False,
            "exclude": _is_probe,
        }

    def close(self) -> None:
        """Send what waits, for at most `span_queue.LAST_SECONDS`."""
        self._queue.shutdown()


def _is_probe(scope: Mapping[str, Any]) -> bool:
    return scope.get("path") in _PROBES


def _version() -> str:
    try:
        return version("tidegate")
    except PackageNotFoundError:  # in the image the packages are files without metadata
        return f"python-{sys.version_info.major}.{sys.version_info.minor}"
