"""What the Kubernetes API refuses, as members of our error tree.

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
    """Another field manager holds fields that we apply; `managers` names them."""

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
    message = str(body.get("message") or HTTPStatus(status).phrase)
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
        case 429 | 502 | 503 | 504 | 500:
            error = Unavailable(f"{what}: {message}; it is tried again")
            error.after = float(retry_after) if retry_after and retry_after.isdigit() else None
            error.validator = "failed calling webhook" in message
            return error
    causes = (body.get("details") or {}).get("causes") or []
    found = [Problem(cause.get("field", ""), cause.get("message", "")) for cause in causes]
    return Refused(what, found or problem)


def _managers(body: dict[str, Any], message: str) -> tuple[str, ...]:
    causes = (body.get("details") or {}).get("causes") or []
    if not any(cause.get("reason") == "FieldManagerConflict" for cause in causes):
        return ()
    text = " ".join([message, *(cause.get("message", "") for cause in causes)])
    return tuple(sorted(set(re.findall(r'conflicts? with "([^"]+)"', text)))) or ("unknown",)
