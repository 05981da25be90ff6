"""`tidegate plan` and `tidegate diff`: what documents would change, before they are written."""

from typing import Any

import typer

from k8s_manager.cli import output
from k8s_manager.cli.connection import connect
from k8s_manager.cli.documents import DEMO, Files, Output, Server, State, TokenFile, documents_in, ordered
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

    tidegate plan -f ranker.yaml
    tidegate apply -f ranker.yaml --plan FINGERPRINT      refused where it would do anything else by now
    """
    connection = connect(server, token_file, state)
    given = ordered(connection, list(documents_in(filename)))
    found = [(str(document), connection.write(path, raw, "?dryRun=true")) for document, path, raw in given]
    if form is not Format.TABLE:
        output.show({"items": [{"document": name, **answer} for name, answer in found]}, form)
        return
    for name, answer in found:
        for line in _lines(name, answer):
            typer.echo(line)


def diff(filename: Files, server: Server = None, token_file: TokenFile = None, state: State = DEMO) -> None:
    """Show only what would differ, as `diff -u` does. Exit code 0 where nothing would, else 1."""
    connection, differs = connect(server, token_file, state), False
    for _, path, raw in ordered(connection, list(documents_in(filename))):
        for change in connection.write(path, raw, "?dryRun=true")["changes"]:
            differs = True
            typer.echo(change["diff"], nl=False)
    raise typer.Exit(int(differs))


def _lines(name: str, answer: Object) -> list[str]:
    lines = [f"{name}: {len(answer['changes'])} objects change, risk {answer['risk']}"]
    lines += [f"  {reason}" for reason in answer["reasons"]]
    lines += [f"  {change['operation']} {change['object']} ({change['server']})" for change in answer["changes"]]
    if limit := answer["limit"]:
        before, after = (f"{limit[when]:g}/s" if limit[when] is not None else "none" for when in ("before", "after"))
        lines.append(f"  limit with the replicas that are warm now: {before} -> {after}")
    if hosts := answer["touches"]["hosts"]:
        lines.append(f"  hosts: {', '.join(hosts)}")
    return [*lines, f"  fingerprint: {answer['fingerprint']}"]
