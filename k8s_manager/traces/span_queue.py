"""Spans on their way to their receiver: in a bounded queue, sent by a thread of its own.

Whoever ends a span only puts it into the queue. A receiver that is away or slow costs spans, which are counted, and
nothing else: nobody waits for it, neither in between nor, beyond a bound, at the end.
"""

import logging
import threading
from collections import deque
from typing import Any

from opentelemetry.sdk.trace import SpanProcessor
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from k8s_manager.runtime.metrics import SPANS

log = logging.getLogger(__name__)
MOST = 4096
"""Spans that wait; beyond that new ones are dropped."""
BATCH = 512
EVERY = 1.0
"""Seconds between two attempts, unless a batch is full."""
LAST_SECONDS = 3.0
"""Seconds for which spans are still sent at the end."""
_QUERY = "url.query"


class SpanQueue(SpanProcessor):  # type: ignore[misc]  # its types may not be installed
    """The queue of one process, and the thread that empties it."""

    def __init__(self, exporter: SpanExporter, endpoint: str, most: int = MOST, every: float = EVERY) -> None:
        self._exporter, self._endpoint, self._most, self._every = exporter, endpoint, most, every
        self._spans: deque[Any] = deque()
        self._full, self._closed = threading.Condition(), False
        self._is_failing = False
        logging.getLogger("opentelemetry.exporter").setLevel(logging.CRITICAL)  # it says each attempt; we say a change
        self._thread = threading.Thread(target=self._run, name="spans", daemon=True)
        self._thread.start()

    def on_start(self, span: Any, parent_context: Any = None) -> None:
        """Leave out the query of a call: clients put tokens there, which no trace may hold."""
        del parent_context
        if span.attributes and span.attributes.get(_QUERY):
            span.set_attribute(_QUERY, "REDACTED")

    def on_end(self, span: Any) -> None:
        """Take a span that has ended; drop it where too many wait."""
        if not span.context.trace_flags.sampled:
            return
        with self._full:
            if self._closed or len(self._spans) >= self._most:
                SPANS.labels("dropped").inc()
                return
            self._spans.append(span)
            if len(self._spans) >= BATCH:
                self._full.notify()

    def shutdown(self) -> None:
        """Send what waits, for a bounded while; the rest is dropped."""
        with self._full:
            if self._closed:
                return
            self._closed = True
            self._full.notify()
        self._thread.join(LAST_SECONDS)
        with self._full:
            left = len(self._spans)
            self._spans.clear()
        if left:
            SPANS.labels("dropped").inc(left)
            log.warning("%d spans were not sent to %s", left, self._endpoint)
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 0) -> bool:
        """Do nothing: spans are sent within a second."""
        del timeout_millis
        return True

    def _run(self) -> None:
        while True:
            with self._full:
                if not self._closed and len(self._spans) < BATCH:
                    self._full.wait(self._every)
                batch = [self._spans.popleft() for _ in range(min(BATCH, len(self._spans)))]
                is_last = self._closed and not self._spans
            if batch:
                self._send(batch)
            if is_last:
                return

    def _send(self, batch: list[Any]) -> None:
        try:
            is_taken = self._exporter.export(batch) is SpanExportResult.SUCCESS
        except Exception:  # whatever a library raises must not end the thread: spans would pile up unseen
            log.exception("spans could not be sent to %s", self._endpoint)
            is_taken = False
        SPANS.labels("sent" if is_taken else "failed").inc(len(batch))
        if is_taken is self._is_failing:
            self._is_failing = not is_taken
            if is_taken:
                log.info("%s takes spans again", self._endpoint)
            else:
                log.warning(
                    "%s does not take spans; they are lost until it does, see tidegate_spans_total", self._endpoint
                )
