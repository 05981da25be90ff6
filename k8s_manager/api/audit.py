"""The audit trail: one JSON line for every change that was asked for, and for every refusal.

A line says who, when, what and how it ended. It holds nothing of a body and no message that might repeat one: a
password that a caller puts into the wrong field does not appear here.
"""

import logging
import logging.handlers
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import orjson
from starlette.types import Scope

from k8s_manager.api.audit_memory import AuditMemory
from k8s_manager.authz.roles import Identity
from k8s_manager.runtime.clock import Clock

FILE_BYTES, FILES = 64 * 2**20, 10
LONGEST = 512
"""Characters of a path or a query that are kept."""

PARAMETERS = frozenset(
    {
        "about",
        "after",
        "against",
        "arm",
        "by",
        "cascade",
        "container",
        "continue",
        "deleted",
        "dryRun",
        "follow",
        "force",
        "from",
        "labelSelector",
        "limit",
        "outcome",
        "plan",
        "pod",
        "previous",
        "reason",
        "since",
        "step",
        "tail",
        "ticket",
        "to",
    }
)
"""The query parameters that the API has."""


class Audit:
    """Writes the trail to a `sink`, a line at a time, and keeps the newest lines in a `memory`, if it has one."""

    def __init__(self, clock: Clock, sink: Callable[[str], None], memory: AuditMemory | None = None) -> None:
        self._clock, self._sink, self.memory = clock, sink, memory

    def record(
        self, scope: Scope, request: str, identity: Identity | None, status: int, notes: Mapping[str, Any]
    ) -> None:
        """Write the outcome of one request."""
        client = scope.get("client")
        line = {
            "time": self._clock.utc().isoformat(timespec="milliseconds"),
            "request": request,
            "user": identity.user if identity else None,
            "source": (identity.source or None) if identity else None,
            "groups": sorted(identity.groups) if identity else [],
            "from": client[0] if client else None,
            "method": scope["method"],
            "path": scope["path"][:LONGEST],
            "query": _kept(scope.get("query_string", b"").decode("ascii", "replace"))[:LONGEST],
            "status": status,
            "outcome": "done" if status < 400 else "refused" if status < 500 else "failed",
            **notes,
        }
        text = orjson.dumps(line)
        self._sink(text.decode())
        if self.memory:
            self.memory.keep(line, len(text))


def _kept(query: str) -> str:
    """Return the parameters of a query that the API has: others may be tokens of clients that send them this way."""
    return "&".join(part for part in query.split("&") if part.partition("=")[0] in PARAMETERS)


def sink_of(place: str) -> Callable[[str], None]:
    """Return where the trail goes: `-` for standard output, `off` for nowhere, else a file that is rotated."""
    if place == "off":
        return lambda _: None
    log = logging.getLogger(f"{__name__}.{place}")
    log.propagate = False
    log.setLevel(logging.INFO)
    if not log.handlers:
        log.addHandler(_handler(place))
    return log.info


def _handler(place: str) -> logging.Handler:
    if place == "-":
        return logging.StreamHandler(sys.stdout)
    Path(place).parent.mkdir(parents=True, exist_ok=True)
    return logging.handlers.RotatingFileHandler(place, maxBytes=FILE_BYTES, backupCount=FILES, encoding="utf-8")
