"""What every request and answer have around them: an id, headers, a count, a line of the audit trail."""

import re
import uuid
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from istio_templates.facts import Manifest, ObjectKey
from k8s_manager.api.audit import Audit
from k8s_manager.authz.roles import Identity
from k8s_manager.runtime.metrics import API_REQUESTS
from k8s_manager.traces.spans import DOCUMENT, REQUEST, SpanRecorder, document_at

ID_HEADER = "X-Request-Id"
_SANE_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_WRITES = ("POST", "PUT", "PATCH", "DELETE")


@dataclass(slots=True)
class Exchange:
    """One request in progress: its id, its caller, and what handlers note of it for the audit trail."""

    id: str
    identity: Identity | None = None
    refused: bool = False
    notes: dict[str, Any] = field(default_factory=dict)


def note(request: Request, key: ObjectKey, answer: Manifest) -> None:
    """Note for the audit trail what a call wrote, and the resulting version."""
    metadata = answer.get("metadata") or {}
    said = {"object": str(key), "uid": metadata.get("uid"), "generation": metadata.get("generation")}
    request.state.exchange.notes.update({name: value for name, value in said.items() if value is not None})


class Exchanges:
    """The outermost layer of the application."""

    def __init__(self, app: ASGIApp, audit: Audit, spans: SpanRecorder) -> None:
        self._app, self._audit, self._spans = app, audit, spans

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get(ID_HEADER, "")
        exchange = Exchange(given if _SANE_ID.fullmatch(given) else str(uuid.uuid4()))
        scope.setdefault("state", {})["exchange"] = exchange
        status = 500

        async def answered(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                if self._spans.is_on:
                    self._spans.note(_attributes(exchange))
                headers = MutableHeaders(scope=message)
                headers[ID_HEADER] = exchange.id
                for name, value in _HEADERS.items():
                    headers[name] = value
            await send(message)

        try:
            await self._app(scope, receive, answered)
        finally:
            API_REQUESTS.labels(scope["method"] if scope["method"] in ("GET", *_WRITES) else "other", str(status)).inc()
            is_write = scope["method"] in _WRITES and exchange.identity is not None
            if (exchange.refused or is_write) and status != HTTPStatus.TOO_MANY_REQUESTS:
                self._audit.record(scope, exchange.id, exchange.identity, status, exchange.notes)


def _attributes(exchange: Exchange) -> dict[str, str]:
    """Return by what the span of a call is found: the id in its answer, and the document that it wrote."""
    notes, found = exchange.notes, {REQUEST: exchange.id}
    return {**found, DOCUMENT: document_at(notes["object"], notes.get("generation"))} if "object" in notes else found
