"""Refusals of the Kubernetes API, as members of the project's error tree.

TidegateError
├── NotFound ────── Absent
├── Conflict ────┬─ FieldConflict (another field manager) ── ForeignObject (another writer made it)
│                └─ WriteConflict (an older resourceVersion)
├── Invalid ─────── Refused       (a schema or an admission webhook said no)
├── Transient ───── Unavailable   (no answer, 429, 5xx, or Istio's validator is away)
│                ├─ Expired       (410: list again)
│                └─ Fenced        (this manager may not lead any more, and has sent nothing)
└── Stalled ─────── Forbidden     (a right is missing)
"""

import re
from http import HTTPStatus
from typing import Any

from istio_templates.errors import Conflict, Invalid, NotFound, Problem, Stalled, TidegateError, Transient
from istio_templates.facts import ObjectKey


class Absent(NotFound):
    """The object, or its whole kind, is not there."""


class FieldConflict(Conflict):
    """Another field manager owns fields that Tidegate applies; `managers` names them."""

    managers: tuple[str, ...] = ()


class ForeignObject(FieldConflict):
    """An object of that name is there already, and `managers` made it."""

    def __init__(self, key: ObjectKey, managers: tuple[str, ...]) -> None:
        remedy = "delete or rename it, or let its tenant take it over with drift: adopt"
        super().__init__(f"{key}", [Problem("", f"it exists already and was made by {', '.join(managers)}; {remedy}")])
        self.managers = managers


class WriteConflict(Conflict):
    """The object has changed since it was read."""


class Refused(Invalid):
    """The API server or one of its admission webhooks refused an object."""


class Unavailable(Transient):
    """The API server, or a webhook that it asks, does not answer for now; `after` seconds if it said so."""

    after: float | None = None
    validator = False


class Expired(Transient):
    """The resourceVersion is too old; the caller lists again."""


class Fenced(Transient):
    """The lease of this manager has run out: another one may lead, and does what is to do."""


class Forbidden(Stalled):
    """The manager lacks a right."""


_NOT_READ = ("failed to create typed patch object", "failed to convert new object")
"""How an API server begins to say that it cannot read what is applied, with a status that stands for its own errors."""


def error_of(status: int, body: dict[str, Any], what: str, retry_after: str | None = None) -> TidegateError:
    """Return the error for an answer that is not a success; `what` is the verb and the object."""
    message = str(body.get("message") or _phrase(status))
    problem = [Problem("", message)]
    match status:
        case 404:
            return Absent(f"{what}: {message}")
        case 409 if managers := _managers(body, message):
            conflict = FieldConflict(what, problem)
            conflict.managers = managers
            return conflict
        case 409:
            return WriteConflict(what, problem)
        case 410:
            return Expired(f"{what}: {message}")
        case 401 | 403:
            return Forbidden(f"{what}: {message}; grant the right or renew the credentials")
        case 500 if message.startswith(_NOT_READ):
            return Refused(what, problem)  # an applied field of no known name or type: the server calls it its own
        case _ if status >= 500 or status in (408, 425, 429):
            error = Unavailable(f"{what}: {message}; it is tried again")
            error.after = _seconds(retry_after) or _asked(body)
            error.validator = "failed calling webhook" in message
            return error
    found = [Problem(str(cause.get("field", "")), str(cause.get("message", ""))) for cause in _causes(body)]
    return Refused(what, found or problem)


def _managers(body: dict[str, Any], message: str) -> tuple[str, ...]:
    causes = _causes(body)
    if not any(cause.get("reason") == "FieldManagerConflict" for cause in causes):
        return ()
    text = " ".join([message, *(str(cause.get("message", "")) for cause in causes)])
    return tuple(sorted(set(re.findall(r'conflicts? with "([^"]+)"', text)))) or ("unknown",)


def _details(body: dict[str, Any]) -> dict[str, Any]:
    found = body.get("details")
    return found if isinstance(found, dict) else {}


def _causes(body: dict[str, Any]) -> list[dict[str, Any]]:
    found = _details(body).get("causes")
    return [cause for cause in found if isinstance(cause, dict)] if isinstance(found, list) else []


def _asked(body: dict[str, Any]) -> float | None:
    """Return what a Status asks for in its details, as API servers do beside the header."""
    seconds = _details(body).get("retryAfterSeconds")
    return float(seconds) if isinstance(seconds, int | float) and seconds > 0 else None


def _seconds(retry_after: str | None) -> float | None:
    """Return the seconds of a `Retry-After`; None for a date, which API servers do not send."""
    found = (retry_after or "").strip()
    return float(found) if found.isascii() and found.isdecimal() and len(found) < 10 else None


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return f"status {status}"
