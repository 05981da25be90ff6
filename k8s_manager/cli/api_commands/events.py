"""`tidegate events`: what happens to limits, replicas and conditions."""

import json
from collections.abc import Iterable
from typing import Annotated

import typer

from k8s_manager.cli import contexts, output
from k8s_manager.cli.api_commands.documents import DEMO, Output, Server, State, TokenFile
from k8s_manager.cli.api_commands.get import Everywhere
from k8s_manager.cli.connection import Connection, connect
from k8s_manager.cli.output import Format, Object
from k8s_manager.cli.selection import tenant_in


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(events)


def events(
    follow: Annotated[bool, typer.Option("--follow/--no-follow", "-w", "--watch", help="Go on until Ctrl-C.")] = True,
    everywhere: Everywhere = False,
    form: Output = Format.TABLE,
    server: Server = None,
    token_file: TokenFile = None,
    state: State = DEMO,
) -> None:
    """Show what happens: limits, replicas, conditions; with -n only of a tenant and its models.

    With -o json each event is a line of its own while they are followed.
    """
    connection = connect(server, token_file, state)
    found = _of(connection, follow, "" if everywhere else contexts.namespace())
    if form is not Format.TABLE and not follow:
        output.show({"items": list(found)}, form)
        return
    try:
        for event in found:
            _show(event, form)
    except KeyboardInterrupt:
        raise typer.Exit(0) from None


def _of(connection: Connection, follow: bool, namespace: str) -> Iterable[Object]:
    source = connection.stream("/v1/events") if follow else connection.call("GET", "/v1/events?follow=false")["items"]
    if not namespace:
        return source
    tenant = tenant_in(connection, namespace)
    return (event for event in source if event["object"] == tenant or event["object"].startswith(f"{namespace}/"))


def _show(event: Object, form: Format) -> None:
    if form is Format.TABLE:
        typer.echo(f"{event['time']}  {event['type']:<9}  {event['object']}: {event['message']}")
    elif form is Format.JSON:
        typer.echo(json.dumps(event))
    else:
        output.show(event, form)
