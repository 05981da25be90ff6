"""`tidegate config` and `tidegate login`: managers by name, so that no call has to say its address and token."""

import getpass
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from k8s_manager.cli import contexts, output
from k8s_manager.cli.api_commands.documents import Output
from k8s_manager.cli.connection import Connection, connection_to
from k8s_manager.cli.contexts import Context
from k8s_manager.cli.output import Format

app = typer.Typer(help="Contexts: managers by name, kept in ~/.config/tidegate/config.", no_args_is_help=True)


def _names(ctx: typer.Context, incomplete: str) -> list[str]:
    return [name for name in contexts.load().named if name.startswith(incomplete) and ctx]


Name = Annotated[str, typer.Argument(help="A context's name.", autocompletion=_names)]
NewFile = Annotated[
    Path | None, typer.Option("--token-file", help="A file with the bearer token; its place is kept, not its content.")
]
Address = Annotated[str | None, typer.Option("--server", help="The manager, such as https://tidegate.example.com.")]


def add_to(parent: typer.Typer) -> None:
    """Add the commands."""
    parent.add_typer(app, name="config")
    parent.command()(login)


def login(
    server: Annotated[str, typer.Argument(help="The manager, such as https://tidegate.example.com.")],
    token_file: NewFile = None,
    name: Annotated[str, typer.Option("--name", help="The context's name; by default the server's host.")] = "",
    form: Output = Format.TABLE,
) -> None:
    """Keep a manager's address and a token as the current context, once the manager knows the token.

    The token is asked for, or read from standard input, from TIDEGATE_TOKEN or from --token-file. With -n the context
    keeps that namespace.

    tidegate login https://tidegate.example.com
    """
    token = "" if token_file else os.environ.get("TIDEGATE_TOKEN") or _asked()
    made = Context(_name(name, server), server.rstrip("/"), token.strip(), _absolute(token_file), _given())
    calls: Connection = connection_to(made)
    user = calls.whoami()["user"]
    contexts.save(replace(contexts.load().with_context(made), current=made.name))
    if form is Format.TABLE:
        typer.echo(f"you are {user}; context {made.name} is current ({contexts.file()})")
    elif form is Format.NAME:
        typer.echo(made.name)
    else:
        output.show({"user": user, "context": made.name, "server": made.server, "file": str(contexts.file())}, form)


def _given() -> str:
    """Return the namespace of -n or of the environment."""
    return os.environ.get(contexts.NAMESPACE, "")


def _asked() -> str:
    return getpass.getpass("Token: ") if sys.stdin.isatty() else sys.stdin.readline()


def _name(name: str, server: str) -> str:
    return name or server.partition("://")[2].strip("/") or server


def _absolute(file: Path | None) -> str:
    return str(file.expanduser().absolute()) if file else ""


@app.command("get-contexts")
def get_contexts(form: Output = Format.TABLE) -> None:
    """List contexts; the current one is marked."""
    found = contexts.load()
    if form is Format.NAME:
        for name in found.named:
            typer.echo(name)
    elif form is not Format.TABLE:
        output.show(contexts.shown(found, raw=False), form)
    else:
        table = output.empty("CURRENT", "NAME", "SERVER", "TOKEN", "NAMESPACE")
        for context in found.named.values():
            token = context.token_file or ("kept here" if context.token else "-")
            mark = "*" if context.name == found.current else ""
            table.add_row(mark, context.name, context.server or "-", token, context.namespace or "-")
        output.console().print(table)


@app.command("current-context")
def current_context() -> None:
    """Print the name of the current context."""
    found = contexts.load()
    typer.echo(found.one(found.current).name)


@app.command("use-context")
def use_context(name: Name) -> None:
    """Make a context the current one."""
    found = contexts.load()
    contexts.save(replace(found, current=found.one(name).name))
    typer.echo(f"context {name} is current")


@app.command("set-context")
def set_context(
    name: Annotated[str, typer.Argument(help="A context's name; absent: the current one.", autocompletion=_names)] = "",
    server: Address = None,
    token_file: NewFile = None,
) -> None:
    """Make a context, or change what is given of it; -n gives its namespace.

    tidegate config set-context staging --server https://staging.example.com --token-file ~/.tidegate-token
    tidegate config set-context -n search
    """
    found = contexts.load()
    before = found.named.get(name or found.one(found.current).name, Context(name))
    made = replace(
        before,
        server=before.server if server is None else server.rstrip("/"),
        token_file=before.token_file if token_file is None else _absolute(token_file),
        token=before.token if token_file is None else "",
        namespace=_given() or before.namespace,
    )
    if made.server or not before.server:
        connection_to(replace(made, token="", token_file=""))
    contexts.save(found.with_context(made))
    typer.echo(f"context {made.name} {'modified' if before.name in found.named else 'created'}")


@app.command("delete-context")
def delete_context(name: Name) -> None:
    """Forget a context and its token."""
    contexts.save(contexts.load().without(name))
    typer.echo(f"context {name} deleted")


@app.command()
def view(raw: Annotated[bool, typer.Option("--raw", help="Tokens too.")] = False, form: Output = Format.YAML) -> None:
    """Show the contexts as the file has them, without tokens."""
    found = contexts.shown(contexts.load(), raw)
    output.show(found, Format.YAML if form is Format.TABLE else form)
