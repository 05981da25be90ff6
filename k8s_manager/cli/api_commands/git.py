"""`tidegate git`: how far manifests have come that go through a Git repository."""

import typer

from k8s_manager.cli import output
from k8s_manager.cli.api_commands.documents import DEMO, Output, Server, State, TokenFile
from k8s_manager.cli.connection import connect
from k8s_manager.cli.output import Format
from k8s_manager.client import GitState


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(git)


def git(form: Output = Format.TABLE, server: Server = None, token_file: TokenFile = None, state: State = DEMO) -> None:
    """Show which commit holds the manifests, which of them the cluster has, and what is out of step.

    For a manager that runs with `tidegate serve --git-url`; exit code 1 while something is out of step.
    """
    found = connect(server, token_file, state).git()
    if form is not Format.TABLE:
        output.show(found, form)
    elif found["target"] == "cluster":
        typer.echo("manifests go into the cluster; for a repository start the manager with --git-url")
    else:
        _table(found)
    if not _is_in_step(found):
        raise typer.Exit(1)


def _is_in_step(found: GitState) -> bool:
    if found["target"] == "cluster":
        return True
    committed, applied, behind = found.get("committed") or {}, found.get("applied") or {}, found.get("outOfStep")
    same = committed.get("tree") == applied.get("tree")
    return same and not found.get("problem") and not (behind and behind["count"])


def _table(found: GitState) -> None:
    place, committed = found.get("repository") or {}, found.get("committed")
    table = output.empty("", "")
    table.add_row("repository", " ".join(part for part in (place.get("url"), place.get("folder")) if part))
    table.add_row("committed", _committed(committed) if committed else "nothing yet")
    table.add_row("applied", _applied(found))
    if problem := found.get("problem"):
        table.add_row("problem", problem)
    behind = found.get("outOfStep") or {"count": 0, "objects": []}
    table.add_row("out of step", str(behind["count"]))
    for one in behind["objects"]:
        table.add_row("", f"{one['object']} {one['how']}")
    if behind["count"] > len(behind["objects"]):
        table.add_row("", f"and {behind['count'] - len(behind['objects'])} more")
    for one in found.get("moving") or []:
        table.add_row("moving", f"{one['object']}: {one['how']}")
    output.console().print(table)


def _committed(committed: dict[str, str]) -> str:
    return f"{committed['commit'][:12]} on {committed['branch']}, {committed['at']}"


def _applied(found: GitState) -> str:
    applied, committed = found.get("applied"), found.get("committed") or {}
    if not applied:
        return "no tree of Tidegate; apply it"
    if not applied["commit"]:
        return f"a tree ({applied['tree']}) whose commit is not known here"
    same = " (the same)" if applied["commit"] == committed.get("commit") else ""
    return f"{applied['commit'][:12]}{same}"
