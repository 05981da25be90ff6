"""`tidegate claims`: whose each host is, and hosts that change hands."""

from typing import Annotated

import typer

from k8s_manager.cli import output
from k8s_manager.cli.api_commands.documents import DEMO, Output, Reason, Server, State, Ticket, TokenFile
from k8s_manager.cli.connection import connect
from k8s_manager.cli.output import Format
from k8s_manager.client import FreedHost, GivenHost

app = typer.Typer(help="Claims of hosts: their owners, delegated paths, transfer and release.")
Host = Annotated[str, typer.Argument(help="A host, perhaps *.DOMAIN.")]


def add_to(parent: typer.Typer) -> None:
    """Add the commands."""
    parent.add_typer(app, name="claims")


@app.callback(invoke_without_command=True)
def claims(
    context: typer.Context,
    form: Output = Format.TABLE,
    server: Server = None,
    token_file: TokenFile = None,
    state: State = DEMO,
) -> None:
    """Show the hosts of all tenants that you may see.

    tidegate claims
    tidegate claims give new.models.example.com search
    tidegate claims give old.models.example.com ads --from search --reason "moved teams"
    tidegate claims release old.models.example.com
    """
    if context.invoked_subcommand:
        return
    found = list(connect(server, token_file, state).claims())
    if form is not Format.TABLE:
        output.show(found, form)
        return
    table = output.empty("HOST", "TENANT", "GATEWAY", "ROUTES", "LENT")
    for claim in found:
        routes = ", ".join(f"{route['path']} ({route['model']})" for route in claim["routes"])
        lent = ", ".join(f"{way['path']} to {way['tenant']}" for way in claim["delegations"])
        table.add_row(claim["host"], claim["tenant"], claim["gateway"], routes or "-", lent or "-")
    output.console().print(table)


@app.command()
def give(
    host: Host,
    tenant: Annotated[str, typer.Argument(help="Who gets it.")],
    source: Annotated[str | None, typer.Option("--from", metavar="TENANT", help="Who has it now.")] = None,
    reason: Reason = "",
    ticket: Ticket = "",
    form: Output = Format.TABLE,
    server: Server = None,
    token_file: TokenFile = None,
    state: State = DEMO,
) -> None:
    """Give a host to a tenant, or hand it over from another once no model is served on it."""
    answer = connect(server, token_file, state).give_host(host, tenant, source, reason, ticket)
    _show(host, answer, form, f"{host} is {tenant}'s")


@app.command()
def release(
    host: Host,
    reason: Reason = "",
    ticket: Ticket = "",
    form: Output = Format.TABLE,
    server: Server = None,
    token_file: TokenFile = None,
    state: State = DEMO,
) -> None:
    """Take a host from its tenant once no model is served on it."""
    answer = connect(server, token_file, state).release_host(host, reason, ticket)
    _show(host, answer, form, f"{host} is free")


def _show(host: str, answer: GivenHost | FreedHost, form: Format, said: str) -> None:
    if form is Format.TABLE:
        typer.echo(said)
    elif form is Format.NAME:
        typer.echo(f"host/{host}")
    else:
        output.show(answer, form)
