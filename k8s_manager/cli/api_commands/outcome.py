"""What a write did, as kubectl says it: created, configured, unchanged, deleted."""

from collections.abc import Callable
from enum import StrEnum
from typing import Any

import typer

from istio_templates.documents import parse
from istio_templates.errors import Invalid
from k8s_manager.cli import output
from k8s_manager.cli.connection import Connection
from k8s_manager.cli.output import Format, Object
from k8s_manager.client import ApiProblem, TidegateClient

_NOT_FOUND = 404


class Outcome(StrEnum):
    """What a write made of a document."""

    CREATED = "created"
    CONFIGURED = "configured"
    UNCHANGED = "unchanged"


def write(connection: Connection, path: str, raw: Object, query: str) -> tuple[Object, Outcome]:
    """Write a whole document, or plan that; return the answer and what it is for the document."""
    before = live(connection, path)
    answer = connection.write(path, raw, query)
    return answer, outcome(before, raw, answer)


def live(connection: Connection, path: str) -> Object | None:
    """Return a document; None where there is none, or the caller may not see it."""
    try:
        found = TidegateClient(connection.server, connection.token, connection.timeout).call("GET", path)
    except ApiProblem as error:
        if error.status == _NOT_FOUND:
            return None
        raise connection.failed(error) from None
    return dict(found)


def outcome(before: Object | None, raw: Object, answer: Object) -> Outcome:
    """Return what a write, or its plan, makes of a document. Pure."""
    if before is None:
        return Outcome.CREATED
    after = raw if answer.get("dryRun") else answer
    return Outcome.UNCHANGED if _content(before) == _content(after, before) else Outcome.CONFIGURED


def _content(document: Object, before: Object | None = None) -> tuple[Any, ...]:
    """Return what people write of a document; labels and annotations that a text leaves out stay as they were."""
    metadata, earlier = document.get("metadata") or {}, (before or document).get("metadata") or {}
    pairs = [_pairs(metadata.get(name) or earlier.get(name)) for name in ("labels", "annotations")]
    try:
        return parse({**document, "status": {}}).spec, *pairs
    except Invalid:
        return document.get("spec"), *pairs


def _pairs(found: Any) -> dict[str, str]:
    """Return labels or annotations without the manager's own mark."""
    return {name: value for name, value in (found or {}).items() if not name.startswith("tidegate.dev/change")}


def show(form: Format, answer: Object, named: tuple[str, str], said: Callable[[], None]) -> None:
    """Print what was done: in sentences, or the answer; `named` is the kind and the name of the document."""
    if form is Format.TABLE:
        said()
    elif form is Format.NAME:
        typer.echo(output.name_of({"kind": named[0], "metadata": {"name": named[1].rpartition("/")[2]}}))
    else:
        output.show(answer, form)
