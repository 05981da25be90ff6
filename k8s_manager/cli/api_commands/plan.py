"""`tidegate plan` and `tidegate diff`: what documents would change, before they are written."""

from collections.abc import Iterator
from typing import Any

import typer

from k8s_manager.cli import output
from k8s_manager.cli.api_commands.documents import (
    DEMO,
    Files,
    Output,
    Server,
    State,
    TokenFile,
    ordered,
)
from k8s_manager.cli.bundle_plan import planned_together
from k8s_manager.cli.connection import Connection, connect
from k8s_manager.cli.files.document_texts import ReadDocuments, parsed_in
from k8s_manager.cli.kinds import KINDS
from k8s_manager.cli.output import Format

Object = dict[str, Any]


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(plan)
    app.command()(diff)


def plan(
    filename: Files,
    form: Output = Format.TABLE,
    server: Server = None,
    token_file: TokenFile = None,
    state: State = DEMO,
) -> None:
    """Show what documents would change, what that touches and how risky it is. Nothing is written.

    Several documents are planned together, so that they may need each other.

    tidegate plan -f ranker.yaml
    tidegate apply -f ranker.yaml --plan FINGERPRINT      rejected where it would now do anything else
    """
    read = parsed_in(filename, list(KINDS))
    found = list(_planned(connect(server, token_file, state), read))
    if form is not Format.TABLE:
        output.show({"items": [{"document": name, **answer} for name, answer in found]}, form)
        return
    for name, answer in found:
        for line in _lines(name, answer):
            typer.echo(line)


def diff(filename: Files, server: Server = None, token_file: TokenFile = None, state: State = DEMO) -> None:
    """Show only what would differ, as `diff -u` does, and what that does to callers. Exit code 0 where nothing would
    differ for objects or callers, else 1."""
    read, differs = parsed_in(filename, list(KINDS)), False
    for _, answer in _planned(connect(server, token_file, state), read):
        for change in answer["changes"]:
            differs = True
            typer.echo(output.coloured(change["diff"]), nl=False)
        for effect in answer["effects"]:
            differs = True
            typer.echo(f"# {effect['subject']}: {effect['message']} (risk {effect['grade']})")
    raise typer.Exit(int(differs))


def _planned(connection: Connection, found: ReadDocuments) -> Iterator[tuple[str, Object]]:
    """Yield what documents are called with their plan: one for all of them where the caller may see that."""
    together = planned_together(connection, found) if len(found) > 1 else None
    if together is not None:
        yield ", ".join(together["documents"]), together
        return
    for document, path, raw in ordered(connection, found):
        yield str(document), connection.write(path, raw, "?dryRun=true")


def _lines(name: str, answer: Object) -> list[str]:
    lines = [f"{name}: {len(answer['changes'])} objects change, risk {answer['risk']}"]
    lines += [f"  {reason}" for reason in answer["reasons"]]
    lines += [f"  {change['operation']} {change['object']} ({change['server']})" for change in answer["changes"]]
    for subject, limit in answer["limits"].items():
        before, after = (_limit(limit, when) for when in ("before", "after"))
        lines.append(f"  limit of {subject} with the replicas that are warm now: {before} -> {after}")
    reasons = "\n".join(answer["reasons"])
    lines += [
        f"  {effect['subject']}: {effect['message']}"
        for effect in answer["effects"]
        if effect["message"] not in reasons
    ]
    if hosts := answer["touches"]["hosts"]:
        lines.append(f"  hosts: {', '.join(hosts)}")
    return [*lines, f"  fingerprint: {answer['fingerprint']}"]


def _limit(limit: Object, when: str) -> str:
    """Return a limit with its mode, where that is not enforce."""
    mode = limit.get(f"mode{when.capitalize()}", "enforce")
    said = "none" if limit[when] is None else f"{limit[when]:g}/s"
    return said if mode in ("enforce", "off") else f"{said} ({mode})"
