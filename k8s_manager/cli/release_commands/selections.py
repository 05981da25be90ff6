"""`tidegate selection`: which version of a model should serve, and which another strategy would choose."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from istio_templates.documents import load
from istio_templates.errors import Invalid, Problem
from k8s_manager.cli import output
from k8s_manager.cli.api_commands.documents import DEMO, ModelName, Output, Server, State, TokenFile
from k8s_manager.cli.connection import connect
from k8s_manager.cli.output import Format, Object
from k8s_manager.cli.selection import model_path

app = typer.Typer(
    help="Which registered version of a model should serve, by the strategy of its document or another one.",
    no_args_is_help=True,
)


class StrategyName(StrEnum):
    """A strategy, as documents name it."""

    DATA_DRIVEN = "dataDriven"
    ACCURACY_DRIVEN = "accuracyDriven"
    PERIODIC_BEST = "periodicBest"
    THRESHOLD = "threshold"
    MANUAL = "manual"


def add_to(parent: typer.Typer) -> None:
    """Add the commands."""
    parent.add_typer(app, name="selection")


@app.command()
def explain(
    model: ModelName,
    form: Output = Format.TABLE,
    server: Server = None,
    token_file: TokenFile = None,
    state: State = DEMO,
) -> None:
    """Say which version should serve by the model's own selection, on what evidence, and why the others may not.

    tidegate selection explain search/ranker
    """
    connection = connect(server, token_file, state)
    _show(connection.call("GET", f"{model_path(connection, model)}/selection"), form)


@app.command("dry-run")
def dry_run(
    model: ModelName,
    selection: Annotated[Path | None, typer.Option(help="A file that holds what spec.selection would.")] = None,
    strategy: Annotated[StrategyName | None, typer.Option(help="Instead of a file: a strategy alone.")] = None,
    metric: Annotated[str | None, typer.Option(help="With --strategy: the metric that counts.")] = None,
    dataset: Annotated[str | None, typer.Option(help="With --metric: on which data set.")] = None,
    alias: Annotated[str | None, typer.Option(help="With --strategy manual: the alias that decides.")] = None,
    form: Output = Format.TABLE,
    server: Server = None,
    token_file: TokenFile = None,
    state: State = DEMO,
) -> None:
    """Say which version another selection would choose. Nothing is written.

    tidegate selection dry-run search/ranker --strategy dataDriven
    tidegate selection dry-run search/ranker --strategy accuracyDriven --metric auc --dataset holdout-2026
    tidegate selection dry-run search/ranker --strategy manual --alias challenger
    """
    if (selection is None) is (strategy is None):
        raise typer.BadParameter("give a file with --selection, or a --strategy")
    if (metric is None) is not (dataset is None) or (metric and strategy is None):
        raise typer.BadParameter("--metric and --dataset belong together, beside a --strategy")
    if alias is not None and strategy is not StrategyName.MANUAL:
        raise typer.BadParameter("--alias belongs to --strategy manual")
    body: Object = _read(selection) if selection else {"strategy": str(strategy)}
    body |= {"metric": {"name": metric, "dataset": dataset}} if metric else {}
    body |= {"alias": alias} if alias is not None else {}
    connection = connect(server, token_file, state)
    _show(connection.call("POST", f"{model_path(connection, model)}/selection", body), form)


def _read(file: Path) -> dict[str, Any]:
    """Return the mapping in a file; raises `Invalid`."""
    try:
        found = load(file.read_text(), str(file))
    except (OSError, UnicodeDecodeError) as error:
        said = "cannot be read; name a file that holds what spec.selection would"
        raise Invalid(str(file), [Problem("", said)]) from error
    if len(found) != 1 or not isinstance(found[0], dict):
        raise Invalid(str(file), [Problem("", "is no one mapping; write what spec.selection would hold")])
    return dict(found[0])


def _show(answer: Object, form: Format) -> None:
    if form is not Format.TABLE:
        output.show(answer, form)
        return
    for sentence in answer["explanation"]:
        typer.echo(sentence)
