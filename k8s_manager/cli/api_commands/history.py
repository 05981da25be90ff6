"""`tidegate history` and `tidegate rollback`: what a document was, who changed it and why, and back to that."""

from typing import Annotated, Any

import typer

from k8s_manager.cli import output, selection
from k8s_manager.cli.api_commands import outcome
from k8s_manager.cli.api_commands.documents import (
    DEMO,
    DryRun,
    Output,
    Reason,
    Server,
    State,
    Ticket,
    TokenFile,
    show_changes,
)
from k8s_manager.cli.completion import choices
from k8s_manager.cli.connection import connect
from k8s_manager.cli.kinds import is_kind
from k8s_manager.cli.output import Format
from k8s_manager.cli.selection import Selected, chosen

Recorded = Annotated[
    list[str],
    typer.Argument(
        metavar="KIND NAME [REVISION]", help="Whose history, also as KIND/NAME; a revision.", autocompletion=choices
    ),
]
Deleted = Annotated[
    bool,
    typer.Option("--deleted", help="Of the document of this name that was deleted last, where there is a new one."),
]


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(history)
    app.command()(rollback)


def history(
    what: Recorded,
    against: Annotated[int | None, typer.Option(min=1, help="Show what differs from this revision.")] = None,
    deleted: Deleted = False,
    form: Output = Format.TABLE,
    server: Server = None,
    token_file: TokenFile = None,
    state: State = DEMO,
) -> None:
    """Show the revisions of a document, one of them, or what differs between two; of a deleted one too.

    tidegate history model search/ranker
    tidegate history model search/ranker 7 --against 5
    """
    selected, revision = _recorded(what)
    connection = connect(server, token_file, state)
    path = selection.path_of(connection, selected)
    if revision is None:
        found = connection.call("GET", f"{path}/history?deleted={str(deleted).lower()}")
        _show_all(found, form)
        return
    query = "" if against is None else f"&against={against}"
    answer = connection.call("GET", f"{path}/history/{revision}?deleted={str(deleted).lower()}{query}")
    if against is not None and form is Format.TABLE:
        typer.echo(output.coloured(answer["diff"]) or "nothing differs", nl=not answer["diff"])
        return
    output.show(answer, Format.YAML if form is Format.TABLE else form)


def rollback(
    what: Recorded,
    reason: Reason = "",
    ticket: Ticket = "",
    deleted: Deleted = False,
    dry_run: DryRun = False,
    form: Output = Format.TABLE,
    server: Server = None,
    token_file: TokenFile = None,
    state: State = DEMO,
) -> None:
    """Write a document as it was at a revision; without a number, at the one before it. Make a deleted one again.

    tidegate rollback model search/ranker
    """
    selected, revision = _recorded(what)
    connection = connect(server, token_file, state)
    path = selection.path_of(connection, selected)
    body = {
        "reason": reason,
        "ticket": ticket,
        "deleted": deleted,
        **({} if revision is None else {"revision": revision}),
    }
    answer = connection.call("POST", f"{path}/rollback?dryRun={str(dry_run).lower()}", body)
    at = f"at revision {revision}" if revision else "before"

    def said() -> None:
        typer.echo(f"{selected} {'would be' if dry_run else 'is'} as it was {at}")
        show_changes(answer)

    outcome.show(form, answer, (str(answer.get("kind", selected.kind)), selected.name), said)


def _recorded(words: list[str]) -> tuple[Selected, int | None]:
    """Return the document that words name, and the revision if one is behind it; raises `BadParameter`."""
    count = 1 if is_kind(words[0].partition("/")[0]) and "/" in words[0] else 2
    named, rest = words[:count], words[count:]
    if len(named) < count or len(rest) > 1 or (rest and not (rest[0].isdecimal() and int(rest[0]))):
        raise typer.BadParameter("write KIND NAME, such as model search/ranker, and perhaps the number of a revision")
    (selected,) = chosen(named)
    return selected, int(rest[0]) if rest else None


def _show_all(found: dict[str, Any], form: Format) -> None:
    if form is not Format.TABLE:
        output.show(found, form)
        return
    table = output.empty("REVISION", "AT", "BY", "TICKET", "REASON")
    for item in found["items"]:
        state = " (now)" if item["current"] else " (deleted)" if item["deletion"] else ""
        number = f"{item['revision']}{state}"
        table.add_row(number, item["at"], item["by"], item["ticket"], item["reason"])
    output.console().print(table)
