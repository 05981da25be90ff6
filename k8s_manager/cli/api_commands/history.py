"""`tidegate history` and `tidegate rollback`: what a document was, who changed it and why, and back to that."""

from typing import Annotated, Any

import typer

from k8s_manager.cli import output
from k8s_manager.cli.api_commands.documents import (
    DEMO,
    DocumentKind,
    DryRun,
    Output,
    Reason,
    Server,
    State,
    Ticket,
    TokenFile,
    path_of,
    show_changes,
)
from k8s_manager.cli.connection import connect
from k8s_manager.cli.output import Format

Recorded = Annotated[DocumentKind, typer.Argument(help="What kind: gateway, tenant, model, override or grant.")]
Name = Annotated[str, typer.Argument(help="Its name (a model: TENANT/MODEL).")]


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(history)
    app.command()(rollback)


def history(
    kind: Recorded,
    name: Name,
    revision: Annotated[int | None, typer.Argument(min=1, help="Show this one; absent: all.")] = None,
    against: Annotated[int | None, typer.Option(min=1, help="Show what differs from this revision.")] = None,
    form: Output = Format.TABLE,
    server: Server = None,
    token_file: TokenFile = None,
    state: State = DEMO,
) -> None:
    """Show the revisions of a document, one of them, or what differs between two.

    tidegate history model search/ranker
    tidegate history model search/ranker 7 --against 5
    """
    connection, path = connect(server, token_file, state), path_of(kind, name)
    if revision is None:
        found = connection.call("GET", f"{path}/history")
        _show_all(found, form)
        return
    query = "" if against is None else f"?against={against}"
    answer = connection.call("GET", f"{path}/history/{revision}{query}")
    if against is not None and form is Format.TABLE:
        typer.echo(answer["diff"] or "nothing differs", nl=not answer["diff"])
        return
    output.show(answer, Format.YAML if form is Format.TABLE else form)


def rollback(
    kind: Recorded,
    name: Name,
    revision: Annotated[int, typer.Argument(min=1, help="To which revision.")],
    reason: Reason = "",
    ticket: Ticket = "",
    dry_run: DryRun = False,
    server: Server = None,
    token_file: TokenFile = None,
    state: State = DEMO,
) -> None:
    """Write a document as it was at a revision."""
    body = {"revision": revision, "reason": reason, "ticket": ticket}
    path = f"{path_of(kind, name)}/rollback?dryRun={str(dry_run).lower()}"
    answer = connect(server, token_file, state).call("POST", path, body)
    typer.echo(f"{kind.value} {name} {'would be' if dry_run else 'is'} as it was at revision {revision}")
    show_changes(answer)


def _show_all(found: dict[str, Any], form: Format) -> None:
    if form is not Format.TABLE:
        output.show(found, form)
        return
    table = output.empty("REVISION", "AT", "BY", "TICKET", "REASON")
    for item in found["items"]:
        number = f"{item['revision']}{' (now)' if item['current'] else ''}"
        table.add_row(number, item["at"], item["by"], item["ticket"], item["reason"])
    output.console().print(table)
