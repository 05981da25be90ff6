"""`tidegate delete`: documents by name, or those in files, dependents first."""

import time
from collections.abc import Iterator
from typing import Annotated

import typer

from istio_templates.documents import Document
from k8s_manager.cli import output, selection
from k8s_manager.cli.api_commands import outcome
from k8s_manager.cli.api_commands.documents import (
    DEMO,
    DryRun,
    Fingerprint,
    Output,
    Reason,
    Server,
    State,
    Ticket,
    TokenFile,
    asked_for,
    ordered,
    show_plan,
)
from k8s_manager.cli.completion import choices
from k8s_manager.cli.connection import Connection, Failed, connect
from k8s_manager.cli.files.document_texts import parsed_in
from k8s_manager.cli.kinds import KINDS
from k8s_manager.cli.output import Format, Object
from k8s_manager.cli.selection import chosen

ORDER = ("LimitOverride", "Model", "ModelVersion", "Caller", "Tenant", "InferenceGateway", "AccessGrant")
"""What depends on others goes first, and rights last."""
PAUSE = 0.5
PATIENCE = 600.0
"""Seconds until what is deleted is waited for no more."""
Doomed = list[tuple[str, str]]
"""Documents with their paths: what each is called, and where it is."""


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(delete)


def delete(
    what: Annotated[
        list[str] | None,
        typer.Argument(metavar="[KIND NAME...]", help="KIND NAME... or KIND/NAME...", autocompletion=choices),
    ] = None,
    filename: Annotated[
        list[str] | None, typer.Option("-f", "--filename", help="The documents in a file, a folder, or - for stdin.")
    ] = None,
    cascade: Annotated[bool, typer.Option("--cascade", help="Delete what depends on it too.")] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until it is gone, and say what that waits for.")] = False,
    ignore_not_found: Annotated[
        bool, typer.Option("--ignore-not-found", help="What is not there is no error.")
    ] = False,
    reason: Reason = "",
    ticket: Ticket = "",
    dry_run: DryRun = False,
    plan: Fingerprint = None,
    form: Output = Format.TABLE,
    server: Server = None,
    token_file: TokenFile = None,
    state: State = DEMO,
) -> None:
    """Delete documents and everything that was made for them.

    tidegate delete model search/ranker
    tidegate delete -f search.yaml --wait
    """  # fmt: skip
    if bool(what) == bool(filename):
        raise typer.BadParameter("say what to delete: KIND NAME, or -f FILE")
    documents = parsed_in(filename, list(KINDS)) if filename else []
    connection = connect(server, token_file, state)
    doomed = _in_files(connection, documents) if documents else _named(connection, what or [])
    if plan is not None and len(doomed) != 1:
        raise typer.BadParameter(f"--plan is for one document, and there are {len(doomed)}")
    is_missing = False
    for number, (subject, path) in enumerate(doomed):
        if outcome.live(connection, path) is None and plan is None:
            is_missing = not ignore_not_found or is_missing
            if not ignore_not_found:
                typer.echo(f"tidegate: there is no {subject}", err=True)
            continue
        cascades = str(cascade or (dry_run and bool(filename))).lower()
        query = asked_for(dry_run, plan, cascade=cascades, reason=reason, ticket=ticket)
        answer = connection.call("DELETE", path + query)
        _require_only(answer, doomed, is_bound=bool(filename) and dry_run and not cascade)
        _show(answer, form)
        if not dry_run and (wait or (documents and doomed[number + 1 :])):
            await_gone(connection, subject, path)
    if is_missing:
        raise Failed(2)


def _named(connection: Connection, words: list[str]) -> Doomed:
    found = chosen(words)
    if nameless := next((one for one in found if not one.name), None):
        raise typer.BadParameter(f"name the {nameless.kind.value} to delete; all of a kind are not deleted at once")
    return [(str(one), selection.path_of(connection, one)) for one in found]


def _in_files(connection: Connection, documents: list[tuple[Document, Object]]) -> Doomed:
    found = sorted(ordered(connection, documents), key=lambda item: ORDER.index(item[0].kind))
    return [(str(document), path) for document, path, _ in found]


def _require_only(answer: Object, doomed: Doomed, is_bound: bool) -> None:
    """End where a dry run of files would delete what is not in them: the real one is refused for it."""
    named = {subject for subject, _ in doomed}
    others = [gone for gone in answer.get("documents", ()) if is_bound and gone not in named]
    if others:
        typer.echo(f"tidegate: {', '.join(others)} depend on it and are not in the files; see --cascade", err=True)
        raise Failed(2)


def _show(answer: Object, form: Format) -> None:
    gone = [*answer.get("deleted", ()), *answer.get("documents", ())]
    if form is Format.NAME:
        for subject in gone:
            kind, _, name = subject.partition(" ")
            typer.echo(output.name_of({"kind": kind, "metadata": {"name": name.rpartition("/")[2]}}))
    elif form is not Format.TABLE:
        output.show(answer, form)
    else:
        for subject in gone:
            typer.echo(f"{subject} {'would be' if answer.get('dryRun') else 'is being'} deleted")
        for kept in answer.get("kept", ()):
            typer.echo(f"  {kept}")
        show_plan(answer)


def await_gone(connection: Connection, subject: str, path: str) -> None:
    """Wait until a document is gone, and say on standard error what its deletion waits for."""
    deadline, said = time.monotonic() + PATIENCE, ""
    while (found := outcome.live(connection, path)) is not None:
        if "deletionTimestamp" not in found["metadata"]:
            return  # it was made again
        now = next(iter(_waits(found)), "its objects are being removed")
        if now != said:
            typer.echo(f"{subject}: {now}", err=True)
            said = now
        if time.monotonic() > deadline:
            typer.echo(f"tidegate: {subject} is not gone after {PATIENCE:g} s: {said}", err=True)
            raise Failed(1)
        time.sleep(PAUSE)


def _waits(found: Object) -> Iterator[str]:
    for condition in found.get("status", {}).get("conditions", ()):
        if condition["type"] == "Programmed" and condition["status"] != "True":
            yield condition["message"]
