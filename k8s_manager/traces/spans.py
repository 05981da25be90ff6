"""The port by which the manager and the collector record spans of their own work.

Off by default, and then a call of a method that does nothing. Nothing here imports OpenTelemetry: what sends spans is
`k8s_manager.traces.otlp_spans`, which only a process with an endpoint loads.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol

Attributes = Mapping[str, str | bool | int | float | Sequence[str]]
DOCUMENT = "tidegate.document"
"""The attribute of an API call with what it wrote, as `document_at` names it."""
DOCUMENTS = "tidegate.documents"
"""The attribute of a pass with the documents that have changed since the last one, named in the same way."""
REQUEST = "tidegate.request"
"""The attribute of an API call with the id that its answer and the audit trail have."""


class SpanRecorder(Protocol):
    """Records spans; a span that is begun inside another one, in the same task or in one made there, is its child."""

    is_on: bool
    """Whether spans are recorded at all: what is made for an attribute alone need not be made else."""

    def span(
        self, name: str, attributes: Attributes | None = None, is_call: bool = False
    ) -> AbstractContextManager[None]:
        """Return a context that is one span; `is_call` says that it is a call of another program."""

    def note(self, attributes: Attributes) -> None:
        """Add attributes to the span that is current; without one nothing happens."""

    def headers(self) -> Mapping[str, str]:
        """Return the headers that make what another program does a child of the current span (`traceparent`)."""

    def served_calls(self) -> dict[str, Any]:
        """Return FastAPI's settings for the spans of the calls that it serves."""

    def close(self) -> None:
        """Send what has not been sent, for a bounded while; blocks."""


class NoSpans:
    """Spans that are not recorded."""

    is_on = False
    _nothing = nullcontext()

    def span(
        self, name: str, attributes: Attributes | None = None, is_call: bool = False
    ) -> AbstractContextManager[None]:
        """Return a context of nothing."""
        del name, attributes, is_call
        return self._nothing

    def note(self, attributes: Attributes) -> None:
        """Do nothing."""

    def headers(self) -> Mapping[str, str]:
        """Return no headers."""
        return {}

    def served_calls(self) -> dict[str, Any]:
        """Return FastAPI's settings for no spans."""
        return {"tracing": False, "metrics": False, "logs": False, "auto_configure": False}

    def close(self) -> None:
        """Do nothing."""


NO_SPANS = NoSpans()


def document_at(document: object, generation: object) -> str:
    """Return the name of one state of a document, by which an API call and the passes that act on it are found."""
    return f"{document}@{generation}"
