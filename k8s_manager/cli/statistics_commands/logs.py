"""`tidegate logs`: what the pods of a model have written."""

import json
from collections.abc import Iterable
from typing import Annotated
from urllib.parse import urlencode

import typer

from k8s_manager.cli import output, selection
from k8s_manager.cli.api_commands.documents import DEMO, Output, Server, State, TokenFile
from k8s_manager.cli.connection import connect
from k8s_manager.cli.kinds import DocumentKind
from k8s_manager.cli.output import Format, Object
from k8s_manager.cli.selection import Selected
from k8s_manager.cli.statistics_commands.time_options import span_of


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(logs)


def logs(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="TENANT/MODEL, or MODEL with -n NAMESPACE.")],
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Go on with what comes, until Ctrl-C.")] = False,
    tail: Annotated[int, typer.Option(min=0, max=10_000, help="The last lines of each pod.")] = 100,
    since: Annotated[
        str | None, typer.Option(metavar="TIME", help="Only what was written in this time, such as 90s or 2h.")
    ] = None,
    previous: Annotated[bool, typer.Option("-p", "--previous", help="Of the containers' former run.")] = False,
    container: Annotated[str, typer.Option("-c", "--container", help="A container other than the model's.")] = "",
    pod: Annotated[str, typer.Option(help="Of this pod only.")] = "",
    form: Output = Format.TABLE,
    server: Server = None,
    token_file: TokenFile = None,
    state: State = DEMO,
) -> None:
    """Show what the pods of a model have written, in the order of time.

    tidegate logs search/ranker -f --tail 20
    """
    connection = connect(server, token_file, state)
    asked = {"tail": tail, "previous": str(previous).lower(), "container": container, "pod": pod}
    if since is not None:
        asked["since"] = _seconds(since)
    path = selection.path_of(connection, Selected(DocumentKind.MODEL, model), None) + "/logs?" + urlencode(asked)
    found: Iterable[Object]
    if follow:
        found = connection.stream(path + "&follow=true")
    else:
        found = connection.call("GET", path)["items"]
        if form is not Format.TABLE:
            output.show({"items": list(found)}, form)
            return
    try:
        for line in found:
            _show(line, form)
    except KeyboardInterrupt:
        raise typer.Exit(0) from None


def _seconds(text: str) -> int:
    found = span_of("--since", text, "90s, 10m or 2h")
    if not 1 <= found <= 10**9:
        raise typer.BadParameter(f"--since {text} is no time in seconds above 0; write 90s, 10m or 2h")
    return int(found)


def _show(line: Object, form: Format) -> None:
    if form is not Format.TABLE:
        typer.echo(json.dumps(line))
    elif "problem" in line:
        typer.echo(f"{line['pod']}: cannot be read: {line['problem']}", err=True)
    else:
        text = "".join(letter if letter.isprintable() or letter == "\t" else "?" for letter in line["line"])
        typer.echo(f"{line['pod']}  {text}")
