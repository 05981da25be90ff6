"""`tidegate release`: how far requests have come to another version, and what an operator asks of that."""

from typing import Annotated

import typer

from k8s_manager.cli import output
from k8s_manager.cli.api_commands import outcome
from k8s_manager.cli.api_commands.documents import (
    DEMO,
    DryRun,
    ModelName,
    Output,
    Reason,
    Server,
    State,
    TokenFile,
    asked_for,
)
from k8s_manager.cli.connection import connect
from k8s_manager.cli.output import Format, Object
from k8s_manager.cli.selection import model_path
from k8s_manager.release.decision.observation import ReleaseVerb

Action = Annotated[
    ReleaseVerb | None,
    typer.Argument(help="What to ask for; without it the release is shown.", show_default=False),
]


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(release)


def release(
    model: ModelName,
    action: Action = None,
    dry_run: DryRun = False,
    reason: Reason = "",
    form: Output = Format.TABLE,
    server: Server = None,
    token_file: TokenFile = None,
    state: State = DEMO,
) -> None:
    """Show how far requests have come to another version, with every check; or steer that.

    promote goes to 100 % without further steps and checks, approve on to the next step after one that asks for it;
    pause keeps the shares as they are until resume; abort sends all requests back at once and blocks the version until
    retry.

    tidegate release search/ranker
    tidegate release search/ranker abort --reason "answers look odd"
    """
    connection = connect(server, token_file, state)
    path = f"{model_path(connection, model)}/release"
    if action is None:
        found = connection.call("GET", path)
    else:
        found = connection.call("PUT", f"{path}{asked_for(dry_run, None, reason=reason)}", {"action": str(action)})
    if action is not None and not dry_run:
        outcome.show(form, found, ("Model", model), lambda: typer.echo(f"{model}: {action} is asked for"))
        return
    if form is not Format.TABLE:
        output.show(found, form)
        return
    for sentence in found["reasons"] if dry_run else found["explanation"]:
        typer.echo(sentence)
    _show_checks(found["release"] or {})


def _show_checks(found: Object) -> None:
    """Print the checks as a table."""
    rows = [
        {
            "CHECK": check["name"],
            "VERDICT": check["verdict"],
            "VALUE": _figure(check.get("value")),
            "STABLE": _figure(check.get("stable")),
            "BOUND": _figure(check.get("bound")),
            "REQUESTS": _figure(check.get("requests")),
        }
        for check in found.get("checks") or []
    ]
    if rows:
        output.console().print(output.fitted(rows, wide=False))


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"
