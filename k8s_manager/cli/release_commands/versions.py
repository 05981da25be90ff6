"""`tidegate versions`: what training has made of a model, how good it is, and which of it may serve."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from istio_templates.documents.fields import span
from istio_templates.documents.versions.model_version import document_name
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
    TenantName,
    Ticket,
    TokenFile,
    asked_for,
    show_plan,
)
from k8s_manager.cli.connection import Connection, connect
from k8s_manager.cli.kinds import DocumentKind
from k8s_manager.cli.output import Format, Object
from k8s_manager.cli.selection import Selected, found, model_path
from k8s_manager.document_state import last_evaluations
from k8s_manager.release.selection.garbage_collection import RetentionRules, versions_to_remove
from k8s_manager.release.selection_document import version_facts

KIND = "ModelVersion"
app = typer.Typer(
    help="Versions of models, as training registers them: register, evaluate, block, pin.", no_args_is_help=True
)
Version = Annotated[str, typer.Argument(help="The version's name, such as v2.")]
Why = Annotated[str, typer.Option(help="Why, for those who see it later.")]


def add_to(parent: typer.Typer) -> None:
    """Add the commands."""
    parent.add_typer(app, name="versions")


@app.command("list")
def list_(
    model: Annotated[
        str | None, typer.Argument(metavar="[TENANT/MODEL]", help="Those of one model; with -n the MODEL alone.")
    ] = None,
    tenant: TenantName = None,
    form: Output = Format.TABLE,
    server: Server = None,
    token_file: TokenFile = None,
    state: State = DEMO,
) -> None:
    """Show the registered versions of a model, or of all that you may see.

    tidegate versions list search/ranker
    """
    connection = connect(server, token_file, state)
    if model is None:
        items = list(found(connection, Selected(DocumentKind.MODEL_VERSION), tenant, everywhere=False))
    else:
        root, name = _root(connection, model)
        items = [obj for obj in connection.items(root) if obj["spec"]["model"] == name]
    if form is Format.TABLE:
        output.table(DocumentKind.MODEL_VERSION.value, items)
    else:
        output.show({"items": items}, form)


@app.command()
def show(
    model: ModelName,
    version: Version,
    form: Output = Format.TABLE,
    server: Server = None,
    token_file: TokenFile = None,
    state: State = DEMO,
) -> None:
    """Show one version: what it is, how good, and whether it serves.

    tidegate versions show search/ranker v2
    """
    connection = connect(server, token_file, state)
    obj = connection.call("GET", _path(connection, model, version))
    if form is not Format.TABLE:
        output.show(obj, form)
        return
    typer.echo(f"{model} {version}")
    for sentence in _sentences(obj):
        typer.echo(f"  {sentence}")


@app.command()
def register(
    model: ModelName,
    version: Version,
    *,
    uri: Annotated[str | None, typer.Option(help="Where its files are, such as s3://models/ranker/2.")] = None,
    digest: Annotated[str | None, typer.Option(help="Of its files: sha256: and 64 digits.")] = None,
    image: Annotated[str | None, typer.Option(help="The image that serves it.")] = None,
    data_until: Annotated[
        str | None, typer.Option(metavar="MOMENT", help="Until when its data reaches: 2026-11-30T00:00:00Z.")
    ] = None,
    cost: Annotated[float | None, typer.Option(help="In any unit that is the same for all versions.")] = None,
    latency: Annotated[str | None, typer.Option(metavar="DURATION", help="99th percentile before it serves.")] = None,
    errors: Annotated[float | None, typer.Option(help="The share of requests that fail, from 0 to 1.")] = None,
    reason: Reason = "",
    ticket: Ticket = "",
    dry_run: DryRun = False,
    form: Output = Format.TABLE,
    server: Server = None,
    token_file: TokenFile = None,
    state: State = DEMO,
) -> None:
    """Register a version, as training does after a run. To say the same again changes nothing.

    tidegate versions register search/ranker v2 --uri s3://models/ranker/2 --data-until 2026-11-30T00:00:00Z
    """
    connection = connect(server, token_file, state)
    root, name = _root(connection, model)
    said: dict[str, Any] = {"uri": uri, "digest": digest, "image": image, "dataUntil": data_until}
    said |= {"cost": cost, "latency": latency, "errors": errors}
    body = {"model": name, "version": version, **{key: value for key, value in said.items() if value is not None}}
    query = asked_for(dry_run, None, reason=reason, ticket=ticket)
    answer = connection.call("POST", root + query, body)
    _show(form, answer, model, version, "is registered")


@app.command()
def evaluate(
    model: ModelName,
    version: Version,
    metric: Annotated[str, typer.Argument(help="Such as auc.")],
    value: Annotated[float, typer.Argument(help="What was measured.")],
    *,
    dataset: Annotated[str, typer.Option(help="On which data set; only equal ones are compared.")],
    samples: Annotated[int, typer.Option(help="From how many samples.")],
    at: Annotated[str | None, typer.Option(metavar="MOMENT", help="When; now without it.")] = None,
    dry_run: DryRun = False,
    form: Output = Format.TABLE,
    server: Server = None,
    token_file: TokenFile = None,
    state: State = DEMO,
) -> None:
    """Add an evaluation of a version.

    tidegate versions evaluate search/ranker v2 auc 0.912 --dataset holdout-2026 --samples 50000
    """
    connection = connect(server, token_file, state)
    moment = at or datetime.now(UTC).isoformat(timespec="milliseconds")
    body = {"dataset": dataset, "metric": metric, "value": value, "samples": samples, "at": moment}
    path = f"{_path(connection, model, version)}/evaluations{asked_for(dry_run, None)}"
    _show(form, connection.call("POST", path, body), model, version, f"has {metric} {value:g} on {dataset}")


@app.command()
def block(
    model: ModelName,
    version: Version,
    *,
    reason: Why,
    dry_run: DryRun = False,
    form: Output = Format.TABLE,
    server: Server = None,
    token_file: TokenFile = None,
    state: State = DEMO,
) -> None:
    """Keep a version from being chosen. It moves no traffic: see tidegate traffic and tidegate release.

    tidegate versions block search/ranker v2 --reason "answers of length 0"
    """
    connection = connect(server, token_file, state)
    path = f"{_path(connection, model, version)}/block{asked_for(dry_run, None, reason=reason)}"
    _show(form, connection.call("PUT", path, {"reason": reason}), model, version, "is blocked")


@app.command()
def unblock(
    model: ModelName,
    version: Version,
    reason: Reason = "",
    dry_run: DryRun = False,
    form: Output = Format.TABLE,
    server: Server = None,
    token_file: TokenFile = None,
    state: State = DEMO,
) -> None:
    """Let a version that was blocked be chosen.

    tidegate versions unblock search/ranker v2
    """
    connection = connect(server, token_file, state)
    path = f"{_path(connection, model, version)}/block{asked_for(dry_run, None, reason=reason)}"
    _show(form, connection.call("DELETE", path), model, version, "is not blocked")


@app.command()
def pin(
    model: ModelName,
    version: Version,
    until: Annotated[str | None, typer.Option(metavar="MOMENT", help="Until when; for good without it.")] = None,
    reason: Reason = "",
    dry_run: DryRun = False,
    form: Output = Format.TABLE,
    server: Server = None,
    token_file: TokenFile = None,
    state: State = DEMO,
) -> None:
    """Choose a version yourself, whatever else would be chosen. It moves no traffic by itself.

    tidegate versions pin search/ranker v1 --until 2026-12-24T00:00:00Z --reason "quiet until the holidays"
    """
    connection = connect(server, token_file, state)
    path = f"{_path(connection, model, version)}/pin{asked_for(dry_run, None, reason=reason)}"
    body = {**({"until": until} if until else {}), **({"reason": reason} if reason else {})}
    _show(form, connection.call("PUT", path, body), model, version, "is pinned")


@app.command()
def approve(
    model: ModelName,
    version: Version,
    reason: Reason = "",
    dry_run: DryRun = False,
    form: Output = Format.TABLE,
    server: Server = None,
    token_file: TokenFile = None,
    state: State = DEMO,
) -> None:
    """Approve the pin of another person, where the tenant's pins need that.

    tidegate versions approve search/ranker v1
    """
    connection = connect(server, token_file, state)
    path = f"{_path(connection, model, version)}/pin/approval{asked_for(dry_run, None, reason=reason)}"
    _show(form, connection.call("PUT", path, {}), model, version, "is approved")


@app.command()
def unpin(
    model: ModelName,
    version: Version,
    reason: Reason = "",
    dry_run: DryRun = False,
    form: Output = Format.TABLE,
    server: Server = None,
    token_file: TokenFile = None,
    state: State = DEMO,
) -> None:
    """End the pin of a version.

    tidegate versions unpin search/ranker v1
    """
    connection = connect(server, token_file, state)
    path = f"{_path(connection, model, version)}/pin{asked_for(dry_run, None, reason=reason)}"
    _show(form, connection.call("DELETE", path), model, version, "is not pinned")


@app.command()
def delete(
    model: ModelName,
    version: Version,
    reason: Reason = "",
    ticket: Ticket = "",
    dry_run: DryRun = False,
    form: Output = Format.TABLE,
    server: Server = None,
    token_file: TokenFile = None,
    state: State = DEMO,
) -> None:
    """Forget a version that does not serve. Its files and its image stay where they are.

    tidegate versions delete search/ranker v1
    """
    connection = connect(server, token_file, state)
    query = asked_for(dry_run, None, reason=reason, ticket=ticket)
    answer = connection.call("DELETE", _path(connection, model, version) + query)
    _show(form, answer, model, version, "is deleted")


@app.command()
def prune(
    model: ModelName,
    keep: Annotated[int, typer.Option(min=1, help="So many of the youngest stay.")] = 10,
    older_than: Annotated[str, typer.Option(metavar="DURATION", help="Younger ones stay.")] = "720h",
    reason: Reason = "",
    dry_run: DryRun = False,
    form: Output = Format.TABLE,
    server: Server = None,
    token_file: TokenFile = None,
    state: State = DEMO,
) -> None:
    """Forget old versions of a model that nothing uses. What serves, is listed by the model or is pinned stays.

    tidegate versions prune search/ranker --keep 10 --older-than 720h --dry-run
    """
    connection = connect(server, token_file, state)
    root, name = _root(connection, model)
    try:
        rules = RetentionRules(keep, span(older_than))
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--older-than") from None
    live = outcome.live(connection, model_path(connection, model))
    gone = prunable(rules, list(connection.items(root)), live, name, datetime.now(UTC))
    for version in gone:
        path = f"{root}/{document_name(name, version)}{asked_for(dry_run, None, reason=reason)}"
        connection.call("DELETE", path)
    if form is not Format.TABLE:
        output.show({"model": model, "pruned": list(gone), "dryRun": dry_run}, form)
        return
    for version in gone:
        typer.echo(f"{model} {version} {'would be' if dry_run else 'is'} deleted")
    if not gone:
        typer.echo(f"{model} has no version to forget")


def prunable(
    rules: RetentionRules, documents: Sequence[Object], model: Object | None, name: str, now: datetime
) -> tuple[str, ...]:
    """Return the versions of a model (None: there is none) that may be forgotten at `now`, the oldest first. Pure."""
    facts = version_facts(documents, name)
    listed = {one["name"] for one in model["spec"].get("versions") or ()} if model else set()
    rollout = ((model or {}).get("status") or {}).get("rollout") or {}
    released = {str(rollout.get(part)) for part in ("stable", "version")}
    serving = {str(obj["status"].get("version")) for obj in documents if (obj.get("status") or {}).get("weight")}
    return versions_to_remove(rules, facts, listed | released | serving, now)


def _root(connection: Connection, model: str) -> tuple[str, str]:
    """Return where the versions of a model's tenant stand, and the model's own name."""
    root, _, name = model_path(connection, model).rpartition("/models/")
    return f"{root}/modelversions", name


def _path(connection: Connection, model: str, version: str) -> str:
    root, name = _root(connection, model)
    return f"{root}/{document_name(name, version)}"


def _show(form: Format, answer: Object, model: str, version: str, done: str) -> None:
    name = document_name(model.rpartition("/")[2], version)

    def said() -> None:
        typer.echo(f"{model} {version} {done}{' (dry run)' if answer.get('dryRun') else ''}")
        if answer.get("dryRun"):
            show_plan(answer)

    outcome.show(form, answer, (KIND, name), said)


def _sentences(obj: Object) -> list[str]:
    """Return what is known of a version, a line each."""
    spec, metadata = obj["spec"], obj["metadata"]
    by = f" by {spec['registeredBy']}" if "registeredBy" in spec else ""
    if origin := spec.get("registry"):
        by = f", read from {origin['name']}, version {origin['version']}, in MLflow"
    lines = [f"registered {metadata['creationTimestamp']}{by}"]
    lines += [f"alias {alias}" for alias in spec.get("aliases") or ()]
    named = {"uri": "files", "digest": "digest", "image": "image", "dataUntil": "data until", "cost": "cost"}
    named |= {"latency": "p99", "errors": "share of errors"}
    lines += [f"{word} {spec[name]}" for name, word in named.items() if name in spec]
    for one in last_evaluations(spec):
        lines.append(f"{one['metric']} {one['value']:g} on {one['dataset']}, {one['samples']} samples, {one['at']}")
    if "blocked" in spec:
        lines.append(f"blocked: {spec['blocked']['reason']}")
    if pinned := spec.get("pinned"):
        until = f" until {pinned['until']}" if "until" in pinned else ""
        approved = f", approved by {', '.join(pinned['approvals'])}" if pinned.get("approvals") else ""
        lines.append(f"pinned by {pinned['by']} since {pinned['at']}{until}{approved}")
    generation = metadata.get("generation")
    conditions = obj.get("status", {}).get("conditions", [])
    current = [one for one in conditions if one["type"] == "Served" and one.get("observedGeneration") == generation]
    return [*lines, *(one["message"] for one in current)]
