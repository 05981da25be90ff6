"""`tidegate whoami`, `tidegate token`, `tidegate console`, and `tidegate audit`: who called, and how it ended."""

import json
import time
from enum import StrEnum
from typing import Annotated
from urllib.parse import urlencode

import typer
from rich.text import Text

from k8s_manager.cli import output
from k8s_manager.cli.api_commands.documents import DEMO, Output, Server, State, TokenFile
from k8s_manager.cli.connection import connect
from k8s_manager.cli.output import Format, Object
from k8s_manager.cli.statistics_commands.time_options import span_of


class CallOutcome(StrEnum):
    """How a call ended."""

    DONE = "done"
    REFUSED = "refused"
    FAILED = "failed"


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(whoami)
    app.command()(token)
    app.command()(console)
    app.command()(audit)


def whoami(
    form: Output = Format.TABLE, server: Server = None, token_file: TokenFile = None, state: State = DEMO
) -> None:
    """Show who the manager takes you for, and what you may do where."""
    answer = connect(server, token_file, state).whoami()
    if form is not Format.TABLE:
        output.show(answer, form)
        return
    typer.echo(answer["user"] + (f", in {', '.join(answer['groups'])}" if answer["groups"] else ""))
    for grant in answer["grants"]:
        tenants = "all tenants" if grant["tenants"] == "all" else ", ".join(grant["tenants"])
        typer.echo(f"  {grant['role']} in {tenants}: {', '.join(grant['rights'])}")
    if not answer["grants"]:
        typer.echo("  no grants; ask a platform admin for one")


def console(
    browse: Annotated[bool, typer.Option("--open", help="Open it in the browser of this machine.")] = False,
    server: Server = None,
    token_file: TokenFile = None,
    state: State = DEMO,
) -> None:
    """Print a link that signs you in to the console, once and within ten minutes, with the rights of your token.

    tidegate console --open
    """
    connection = connect(server, token_file, state)
    address = connection.server + connection.call("POST", "/console/links")["path"]
    typer.echo(address)
    if browse:
        typer.launch(address)


def token(
    user: Annotated[str, typer.Argument(help="Whose it is, such as anna@example.com or ci-search.")],
    group: Annotated[list[str] | None, typer.Option(help="A group that it puts them into; may be repeated.")] = None,
) -> None:
    """Make a static token: the token on standard error, its line for the file of --tokens-file on standard output.

    echo tokens: > tokens.yaml
    tidegate token ci-search --group search-ml >> tokens.yaml
    """
    from k8s_manager.api.authn.static_tokens import hashed, new_token

    made = new_token()
    typer.echo(f"the token of {user}, shown only now: {made}", err=True)
    typer.echo("- " + json.dumps({"user": user, "groups": group or [], "sha256": hashed(made)}))


def audit(
    by: Annotated[str, typer.Option("--by", metavar="NAME", help="Part of the caller's name.")] = "",
    about: Annotated[
        str, typer.Option("--about", metavar="TEXT", help="Part of the path, or of a document such as search/ranker.")
    ] = "",
    since: Annotated[
        str | None, typer.Option("--since", metavar="TIME", help="Only of this last time, such as 90s or 2h.")
    ] = None,
    outcome: Annotated[CallOutcome | None, typer.Option("--outcome", help="Only calls that ended so.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=500, help="The newest so many.")] = 100,
    form: Output = Format.TABLE,
    server: Server = None,
    token_file: TokenFile = None,
    state: State = DEMO,
) -> None:
    """Show who asked for which changes, and which calls were refused, the newest first; for platform admins.

    A manager remembers its newest calls only; the whole trail is what all managers have written (serve --audit).

    tidegate audit --about search/ranker --since 1h
    tidegate audit --by anna --outcome refused -o json
    """
    asked = {"by": by, "about": about, "outcome": outcome.value if outcome else "", "limit": str(limit)}
    if since is not None:
        asked["from"] = f"{time.time() - float(span_of('--since', since, '90s or 2h')):.3f}"
    query = urlencode({name: value for name, value in asked.items() if value})
    found = connect(server, token_file, state).call("GET", f"/v1/audit?{query}")
    if form is not Format.TABLE:
        output.show(found, form)
        return
    table = output.empty("TIME", "WHO", "OUTCOME", "CALL", "ABOUT")
    for line in found["items"]:
        table.add_row(*map(Text, _cells(line)))
    output.console().print(table)
    for gap in found["gaps"]:
        typer.echo(f"incomplete: {gap}", err=True)
    if "continue" in found:
        typer.echo(
            "there are older ones; ask for more with --limit, or for fewer with --by, --about, --since", err=True
        )


def _cells(line: Object) -> tuple[str, ...]:
    query = f"?{line['query']}" if line["query"] else ""
    who = line["user"] or f"unknown ({line['from'] or '-'})"
    call = f"{line['method']} {line['path']}{query}"
    return line["time"][:19] + "Z", who, f"{line['outcome']} ({line['status']})", call, line.get("object", "-")
