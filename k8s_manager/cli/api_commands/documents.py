"""Commands on documents: apply, scale, traffic, pause, resume, limit, explain."""

import urllib.parse
from collections.abc import Iterator
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from istio_templates.documents import Document, ModelSpec, parse
from istio_templates.errors import Invalid, Problem
from k8s_manager import client
from k8s_manager.cli import output
from k8s_manager.cli.api_commands import outcome
from k8s_manager.cli.bundle_plan import planned_together
from k8s_manager.cli.completion import model_names
from k8s_manager.cli.connection import DEMO as DEMO
from k8s_manager.cli.connection import Connection, connect
from k8s_manager.cli.files.document_texts import Read, parsed_in
from k8s_manager.cli.kinds import KINDS, DocumentKind
from k8s_manager.cli.limit_text import limit_lines
from k8s_manager.cli.output import FORMS, Format, plain_form_of
from k8s_manager.cli.release_commands.traffic_text import answer_for, headers_of, traffic_lines
from k8s_manager.cli.selection import model_path, owner_of_namespace
from k8s_manager.world.installation import SYSTEM

Object = dict[str, Any]


class About(StrEnum):
    """What can be explained."""

    LIMIT = "limit"
    READY = "ready"
    REPLICAS = "replicas"


Server = Annotated[
    str | None, typer.Option("--server", envvar="TIDEGATE_SERVER", help="The manager, such as http://127.0.0.1:8700.")
]
TokenFile = Annotated[
    Path | None, typer.Option("--token-file", envvar="TIDEGATE_TOKEN_FILE", help="A file with the bearer token.")
]
State = Annotated[Path, typer.Option("--state", envvar="TIDEGATE_STATE", help="The folder of a standalone.")]
Output = Annotated[Format, typer.Option("-o", "--output", parser=plain_form_of, metavar=FORMS, help="How to show it.")]
Files = Annotated[
    list[str], typer.Option("-f", "--filename", help="A file, a folder, or - for standard input; may be repeated.")
]
TenantName = Annotated[str | None, typer.Option("-t", "--tenant", help="The tenant of a model or an override.")]
ModelName = Annotated[
    str, typer.Argument(metavar="TENANT/MODEL", help="A model; with -n the MODEL alone.", autocompletion=model_names)
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would change and write nothing.")]
Reason = Annotated[str, typer.Option(help="Why, for the history.")]
Ticket = Annotated[str, typer.Option(help="A ticket, for the history.")]
Fingerprint = Annotated[
    str | None, typer.Option("--plan", metavar="FINGERPRINT", help="Only what the plan with it showed.")
]


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (apply, scale, autoscale, traffic, pause, resume, limit, explain):
        app.command()(command)


def ordered(connection: Connection, found: list[Read]) -> Iterator[tuple[Document, str, Object]]:
    """Yield documents with their paths, those first that others refer to; a path is asked for when it is its turn."""
    order = list(KINDS)
    for document, raw in sorted(found, key=lambda read: order.index(read[0].kind)):
        yield document, _path(KINDS[document.kind], document.name, _tenant_of(connection, document)), raw


def apply(
    filename: Files,
    dry_run: DryRun = False,
    plan: Annotated[
        str | None, typer.Option(metavar="FINGERPRINT", help="Only what `tidegate plan` showed; for one document.")
    ] = None,
    reason: Reason = "",
    ticket: Ticket = "",
    form: Output = Format.TABLE,
    server: Server = None,
    token_file: TokenFile = None,
    state: State = DEMO,
) -> None:
    """Write documents: gateways first, then tenants, models and overrides. None is written if one is wrong."""
    found = parsed_in(filename, list(KINDS))
    if plan is not None and len(found) != 1:
        raise typer.BadParameter(f"--plan is for one document, and there are {len(found)}")
    connection = connect(server, token_file, state)
    planned = planned_together(connection, found) if len(found) > 1 else None
    if dry_run and planned is not None:
        _show_plan_of_all(connection, found, planned, form)
        return
    for document, path, raw in ordered(connection, found):
        asked = asked_for(dry_run, plan, reason=reason, ticket=ticket)
        answer, done = outcome.write(connection, path, raw, asked)
        outcome.show(form, answer, (document.kind, document.name), partial(_applied, document, done, answer))


def _show_plan_of_all(connection: Connection, found: list[Read], planned: Object, form: Format) -> None:
    if form is not Format.TABLE:
        output.show(planned, form)
        return
    for document, path, raw in ordered(connection, found):
        done = outcome.outcome(outcome.live(connection, path), raw, planned)
        typer.echo(f"{document} {done} (dry run)")
    show_changes(planned)


def _applied(document: Document, done: outcome.Outcome, answer: Object) -> None:
    typer.echo(f"{document} {done}{' (dry run)' if answer.get('dryRun') else ''}")
    show_changes(answer)


def show_changes(answer: Object) -> None:
    """Print what a dry run says."""
    for change in answer.get("changes", []):
        typer.echo(f"  {change['operation']} {change['object']}")
        diff = output.coloured(change["diff"])
        typer.echo("".join(f"    {line}\n" for line in diff.splitlines()), nl=False)


def scale(
    model: ModelName,
    version: Annotated[str, typer.Argument(help="A version of it.")],
    replicas: Annotated[int, typer.Argument(min=0, help="How many replicas.")],
    dry_run: DryRun = False,
    plan: Fingerprint = None,
    reason: Reason = "",
    ticket: Ticket = "",
    form: Output = Format.TABLE,
    server: Server = None,
    token_file: TokenFile = None,
    state: State = DEMO,
) -> None:
    """Set the replicas of a version; the limit follows when they are ready."""
    asked = asked_for(dry_run, plan, reason=reason, ticket=ticket)
    connection = connect(server, token_file, state)
    path = f"{model_path(connection, model)}/versions/{version}/scale{asked}"
    answer = connection.call("PUT", path, {"replicas": replicas})
    said = f"{model} {version}: {replicas} replicas{' (not written)' if dry_run else ''}"
    outcome.show(form, answer, ("Model", model), partial(_acted, said, answer))


def autoscale(
    model: ModelName,
    version: Annotated[str, typer.Argument(help="A version of it.")],
    most: Annotated[int | None, typer.Option("--max", min=1, help="Most replicas.")] = None,
    least: Annotated[int, typer.Option("--min", min=0, help="Least replicas.")] = 1,
    demand: Annotated[str, typer.Option("--demand", help="How much of perReplicaQps one replica carries.")] = "80%",
    window: Annotated[str, typer.Option("--window", help="How long less is needed before replicas go.")] = "5m",
    off: Annotated[bool, typer.Option("--off", help="End it; the replicas that there are stay.")] = False,
    dry_run: DryRun = False,
    plan: Fingerprint = None,
    reason: Reason = "",
    ticket: Ticket = "",
    form: Output = Format.TABLE,
    server: Server = None,
    token_file: TokenFile = None,
    state: State = DEMO,
) -> None:
    """Have demand decide on the replicas of a version: refused requests count too, and the limit follows when new
    replicas are warm. The document has more signals: see docs/autoscaling.md.

    tidegate autoscale search/ranker v1 --min 2 --max 8

    tidegate explain search/ranker --about replicas
    """
    if (most is None) != off:
        raise typer.BadParameter("give --max, the most replicas that there may be, or --off to end it")
    asked = asked_for(dry_run, plan, reason=reason, ticket=ticket)
    connection = connect(server, token_file, state)
    path = f"{model_path(connection, model)}/versions/{version}/autoscale{asked}"
    signals = [{"name": "demand", "target": demand}]
    body = {"min": least, "max": most, "signals": signals, "scaleDown": {"window": window}}
    answer = connection.call("DELETE", path) if off else connection.call("PUT", path, body)
    now = "its replicas stay as they are" if off else f"{least} to {most} replicas, by demand"
    said = f"{model} {version}: {now}{' (not written)' if dry_run else ''}"
    outcome.show(form, answer, ("Model", model), partial(_acted, said, answer))


def traffic(
    model: ModelName,
    shares: Annotated[
        list[str] | None, typer.Argument(help="VERSION=PER CENT, such as v1=90 v2=10; without, show where requests go.")
    ] = None,
    header: Annotated[
        list[str] | None, typer.Option("--header", help="NAME=VALUE: show where a request with it goes; repeatable.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Also where the limit has to fall for it.")] = False,
    dry_run: DryRun = False,
    plan: Fingerprint = None,
    reason: Reason = "",
    ticket: Ticket = "",
    form: Output = Format.TABLE,
    server: Server = None,
    token_file: TokenFile = None,
    state: State = DEMO,
) -> None:
    """Move the traffic of a model between its versions; to go back, say the old shares. Without shares, show its
    matches and weights, or with --header which version a request would come to."""
    wanted = [_share(share) for share in shares or []]
    asked = asked_for(dry_run, plan, force=str(force).lower(), reason=reason, ticket=ticket)
    connection = connect(server, token_file, state)
    if not wanted or header:
        _show_traffic(connection, model, wanted, headers_of(header or []), form)
        return
    answer = connection.call("PUT", f"{model_path(connection, model)}/traffic{asked}", {"traffic": wanted})
    shown = ", ".join(f"{share['version']} {share['weight']} %" for share in wanted)
    said = f"{model}: {shown}{' (not written)' if dry_run else ''}"
    outcome.show(form, answer, ("Model", model), partial(_acted, said, answer))


def _show_traffic(
    connection: Connection, model: str, wanted: list[Object], headers: dict[str, str], form: Format
) -> None:
    if wanted:
        raise typer.BadParameter("--header shows where a request goes, and shares move requests; give one of both")
    found = connection.call("GET", model_path(connection, model))
    spec, status = parse(found).spec, found.get("status") or {}
    assert isinstance(spec, ModelSpec)
    if form is not Format.TABLE:
        output.show({name: found["spec"].get(name) for name in ("trafficMatches", "traffic", "sticky")}, form)
        return
    for line in [answer_for(model, spec, status, headers)] if headers else traffic_lines(model, spec, status):
        typer.echo(line)


def _acted(said: str, answer: Object) -> None:
    typer.echo(said)
    show_plan(answer)


def asked_for(dry_run: bool, plan: str | None, **said: str) -> str:
    """Return the query of a write; an empty fingerprint too: it is refused, not left out."""
    planned = {} if plan is None else {"plan": plan}
    return f"?{urllib.parse.urlencode({'dryRun': str(dry_run).lower(), **said, **planned})}"


def show_plan(answer: Object) -> None:
    """Print what a dry run of a short command says, and by which fingerprint just that is done."""
    for change in answer.get("changes", []):
        typer.echo(f"  {change['operation']} {change['object']}")
    for reason in answer.get("reasons", []):
        typer.echo(f"  {reason}")
    if "fingerprint" in answer:
        typer.echo(f"  risk {answer['risk']}; to do just this: --plan {answer['fingerprint']}")


def pause(
    model: ModelName,
    reason: Annotated[str, typer.Option("--reason", help="The reason that callers see; the history has it too.")],
    ticket: Ticket = "",
    dry_run: DryRun = False,
    form: Output = Format.TABLE,
    server: Server = None,
    token_file: TokenFile = None,
    state: State = DEMO,
) -> None:
    """Have the routes of a model answer 503 with a reason; its replicas stay."""
    answer = _pause(connect(server, token_file, state), model, reason, asked_for(dry_run, None, ticket=ticket))
    said = f"{model} {'would be' if dry_run else 'is'} paused: {reason}"
    outcome.show(form, answer, ("Model", model), partial(_acted, said, answer))


def resume(
    model: ModelName,
    reason: Reason = "",
    ticket: Ticket = "",
    dry_run: DryRun = False,
    form: Output = Format.TABLE,
    server: Server = None,
    token_file: TokenFile = None,
    state: State = DEMO,
) -> None:
    """Open the routes of a paused model again."""
    asked = asked_for(dry_run, None, reason=reason, ticket=ticket)
    answer = _pause(connect(server, token_file, state), model, None, asked)
    said = f"{model} {'would be' if dry_run else 'is'} served again"
    outcome.show(form, answer, ("Model", model), partial(_acted, said, answer))


def _pause(connection: Connection, model: str, reason: str | None, asked: str) -> Object:
    return dict(connection.call("PUT", f"{model_path(connection, model)}/pause{asked}", {"paused": reason}))


def _share(text: str) -> dict[str, Any]:
    version, _, weight = text.partition("=")
    if not weight.isdigit():
        raise Invalid("traffic", [Problem("", f"{text!r} is no share; write VERSION=PER CENT, such as v2=10")])
    return {"version": version, "weight": int(weight)}


def limit(
    model: ModelName,
    form: Output = Format.TABLE,
    server: Server = None,
    token_file: TokenFile = None,
    state: State = DEMO,
) -> None:
    """Show the limit of a model."""
    connection = connect(server, token_file, state)
    answer = connection.call("GET", f"{model_path(connection, model)}/limit")
    if form is not Format.TABLE:
        output.show(answer, form)
        return
    for line in limit_lines(model, answer):
        typer.echo(line)


def explain(
    model: ModelName,
    about: Annotated[
        About, typer.Option("--about", help="The limit, which replicas are warm, or how many there are.")
    ] = About.LIMIT,
    form: Output = Format.TABLE,
    server: Server = None,
    token_file: TokenFile = None,
    state: State = DEMO,
) -> None:
    """Tell in words why the limit of a model is what it is, how far its replicas have come with their warm-up, or how
    many of them its autoscale asks for, from which signals."""
    connection = connect(server, token_file, state)
    answer = connection.call("GET", f"{model_path(connection, model)}/explain?about={about.value}")
    if form is not Format.TABLE:
        output.show(answer, form)
        return
    for sentence in answer["explanation"]:
        typer.echo(sentence)
    if formula := answer.get("formula"):
        typer.echo(f"Formula: {formula}")


def _path(kind: DocumentKind, name: str, tenant: str | None) -> str:
    try:
        return client.path_of(kind, f"{tenant}/{name}" if tenant else name)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def _tenant_of(connection: Connection, document: Document) -> str | None:
    namespace = document.namespace
    if namespace is None or document.kind not in ("Model", "LimitOverride", "ModelVersion", "Caller"):
        return None
    if document.kind == "LimitOverride" and namespace == SYSTEM:
        return None
    return owner_of_namespace(connection, namespace)
