"""`tidegate wait` and `tidegate rollout`: until documents are as they should be."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Annotated

import typer

from istio_templates.documents.fields import seconds
from k8s_manager.cli import selection
from k8s_manager.cli.api_commands import outcome
from k8s_manager.cli.api_commands.documents import (
    DEMO,
    ModelName,
    Server,
    State,
    TokenFile,
    ordered,
)
from k8s_manager.cli.completion import choices
from k8s_manager.cli.connection import Connection, Failed, connect
from k8s_manager.cli.files.document_texts import parsed_in
from k8s_manager.cli.jsonpath import Template
from k8s_manager.cli.kinds import KINDS, OF_TENANTS, is_kind
from k8s_manager.cli.output import Object
from k8s_manager.cli.statistics_commands.table_figures import rollouts
from k8s_manager.client import READ_PATIENCE

PAUSE = 0.5
ONE_ANSWER = 5.0
"""Seconds that one answer may take at least, however little time is left."""
app = typer.Typer(help="How far a model's replicas are those of its document.", no_args_is_help=True)
Patience = Annotated[str, typer.Option("--timeout", metavar="DURATION", help="How long, such as 90s or 10m.")]


@dataclass(frozen=True, slots=True)
class Awaited:
    """What is waited for: a condition with its state, a value at a path, or that a document is gone."""

    said: str
    condition: str = ""
    status: str = "True"
    path: Template | None = None
    value: str | None = None

    def holds(self, found: Object | None, is_enforced: Callable[[], bool]) -> bool:
        """Tell whether a document is as it should be; `is_enforced` asks the gateway pods of a model."""
        if self.said == "delete" or found is None:
            return found is None
        if self.path is not None:
            values = self.path.values(found)
            return bool(values) and (self.value is None or self.path.render(found) == self.value)
        if self.condition == "enforced":
            return _is_so(found, "limited", "True") and is_enforced() == (self.status == "True")
        return _is_so(found, self.condition, self.status)


def add_to(parent: typer.Typer) -> None:
    """Add the commands."""
    parent.command()(wait)
    parent.add_typer(app, name="rollout")


def wait(
    what: Annotated[
        list[str] | None, typer.Argument(metavar="[KIND NAME...]", autocompletion=choices, help="Or KIND/NAME.")
    ] = None,
    for_: Annotated[
        str, typer.Option("--for", help="condition=TYPE[=STATUS], jsonpath={PATH}[=VALUE], create or delete.")
    ] = "condition=Ready",
    filename: Annotated[list[str] | None, typer.Option("-f", "--filename", help="The documents in files.")] = None,
    timeout: Patience = "30s",
    server: Server = None,
    token_file: TokenFile = None,
    state: State = DEMO,
) -> None:
    """Wait until documents have a condition, a value, or are gone. Exit code 1 where the time is up before.

    Enforced holds for a model whose limit every gateway pod runs. A condition counts once the manager has seen the
    document as it is now.

    tidegate wait --for=condition=Ready model/ranker -n search --timeout=2m
    tidegate wait --for=condition=Enforced model search/ranker
    tidegate wait --for=delete -f search.yaml
    """
    awaited, patience = awaited_in(for_), _span(timeout)
    deadline = time.monotonic() + patience
    if bool(what) == bool(filename):
        raise typer.BadParameter("say for what: KIND NAME, or -f FILE")
    connection = _patient(connect(server, token_file, state), patience)
    for subject, path in list(_targets(connection, what or [], filename or [])):
        _await(connection, subject, path, awaited, deadline)


def _targets(connection: Connection, words: Sequence[str], files: list[str]) -> Iterator[tuple[str, str]]:
    if files:
        yield from ((str(document), path) for document, path, _ in ordered(connection, parsed_in(files, list(KINDS))))
        return
    for one in selection.chosen(words):
        if one.name:
            yield str(one), selection.path_of(connection, one)
            continue
        for obj in selection.found(connection, one, None, everywhere=False):
            owner = obj["metadata"].get("namespace") if one.kind in OF_TENANTS else None
            name = obj["metadata"]["name"]
            full = f"{selection.tenant_in(connection, owner)}/{name}" if owner else name
            yield f"{one.kind.value} {full}", selection.path_of(connection, replace(one, name=full))


def _await(connection: Connection, subject: str, path: str, awaited: Awaited, deadline: float) -> None:
    def is_enforced() -> bool:
        if "/models/" not in path:
            raise typer.BadParameter(f"condition Enforced is a model's, and {subject} is none")
        pods = connection.call("GET", f"{path}/limit")["pods"]
        return bool(pods) and all(pod["state"] == "Applied" for pod in pods)

    while True:
        found = outcome.live(connection, path)
        if found is None and awaited.said not in ("delete", "create"):
            typer.echo(f"tidegate: there is no {subject}; write it first, or wait --for=create", err=True)
            raise Failed(1)
        is_there = found is not None
        if is_there if awaited.said == "create" else awaited.holds(found, is_enforced):
            typer.echo(f"{subject} {'deleted' if awaited.said == 'delete' else 'condition met'}")
            return
        if time.monotonic() > deadline:
            typer.echo(f"tidegate: timed out waiting for {awaited.said} on {subject}; {_reason(found)}", err=True)
            raise Failed(1)
        time.sleep(PAUSE)


def _reason(found: Object | None) -> str:
    conditions = (found or {}).get("status", {}).get("conditions", ())
    wrong = [f"{c['type']}: {c['message']}" for c in conditions if c["status"] != "True"]
    return "; ".join(wrong) or "see tidegate describe"


def awaited_in(text: str) -> Awaited:
    """Return what --for says; raises `BadParameter`."""
    kind, _, rest = text.partition("=")
    if kind == "condition" and rest:
        name, sign, status = rest.partition("=")
        if sign and status.lower() not in ("true", "false", "unknown"):
            raise typer.BadParameter(f"--for {text}: a condition is True, False or Unknown")
        return Awaited(f"condition {name}", name.lower(), status.capitalize() if sign else "True")
    if kind == "jsonpath" and rest:
        path, brace, value = rest.strip("'").partition("}=")
        return Awaited(text, path=Template(path + ("}" if brace else "")), value=value.strip("'\"") if brace else None)
    if text in ("delete", "create"):
        return Awaited(text)
    said = "write condition=Ready, condition=Enforced, jsonpath={.status.url}, create or delete"
    raise typer.BadParameter(f"--for {text!r} is nothing to wait for; {said}")


def _is_so(found: Object, type_: str, status: str) -> bool:
    """Tell whether a document as it is now has a condition, whose type may be written in any case."""
    generation = found["metadata"].get("generation", 0)
    for condition in found.get("status", {}).get("conditions", ()):
        if condition["type"].lower() == type_:
            is_current = condition.get("observedGeneration", generation) >= generation
            return bool(condition["status"] == status and is_current)
    return False


def _patient(connection: Connection, patience: float) -> Connection:
    """Return a connection that waits for one answer no longer than for all, but as long as a busy manager may take."""
    return replace(connection, timeout=min(connection.timeout or READ_PATIENCE, max(patience, ONE_ANSWER)))


def _span(text: str) -> float:
    """Return the seconds of a duration; raises `BadParameter`."""
    try:
        return float(seconds(f"{text}s" if text.replace(".", "", 1).isdigit() else text))
    except (ValueError, OverflowError) as error:
        raise typer.BadParameter(f"--timeout {text}: {error}") from None


@app.command()
def status(
    model: ModelName,
    watch: Annotated[bool, typer.Option("-w/-W", "--watch/--no-watch", help="Wait until it is done.")] = True,
    timeout: Patience = "10m",
    server: Server = None,
    token_file: TokenFile = None,
    state: State = DEMO,
) -> None:
    """Follow a rollout until every replica is that of the document. Exit code 1 where it fails or the time is up.

    tidegate rollout status search/ranker
    """
    patience, said = _span(timeout), ""
    deadline = time.monotonic() + patience
    connection = _patient(connect(server, token_file, state), patience)
    bare = model.partition("/")[2] if is_kind(model.partition("/")[0]) and "/" in model else model
    path = selection.model_path(connection, bare)
    while True:
        found = connection.call("GET", path)
        place = (found["metadata"]["namespace"], found["metadata"]["name"])
        now = rollouts(connection, [path.split("/")[3]])[place]
        if now["message"] != said:
            said = now["message"]
            typer.echo(f"model {bare}: {said}")
        if now["failed"]:
            raise Failed(1)
        if now["done"] or not watch:
            return
        if time.monotonic() > deadline:
            typer.echo(f"tidegate: the rollout of {bare} is not done after {timeout}; {said}", err=True)
            raise Failed(1)
        time.sleep(PAUSE)
