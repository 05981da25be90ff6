"""`tidegate whoami`, `tidegate token` and `tidegate console`."""

import json
from typing import Annotated

import typer

from k8s_manager.cli import output
from k8s_manager.cli.api_commands.documents import DEMO, Output, Server, State, TokenFile
from k8s_manager.cli.connection import connect
from k8s_manager.cli.output import Format


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(whoami)
    app.command()(token)
    app.command()(console)


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
