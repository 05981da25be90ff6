"""Commands on documents: apply, get, delete, scale, traffic, pause, resume, limit, explain, events."""

import urllib.parse
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from istio_templates.documents import Document
from istio_templates.errors import Invalid, Problem
from k8s_manager import client
from k8s_manager.cli import output
from k8s_manager.cli.bundle_plan import planned_together
from k8s_manager.cli.connection import Connection, connect
from k8s_manager.cli.document_texts import Read, parsed_in
from k8s_manager.cli.limit_text import limit_lines
from k8s_manager.cli.output import Format
from k8s_manager.world.installation import SYSTEM

Object = dict[str, Any]


class About(StrEnum):
    """What can be explained."""

    LIMIT = "limit"
    READY = "ready"


class DocumentKind(StrEnum):
    """A kind of document, in the words of the command line."""

    GATEWAY = "gateway"
    TENANT = "tenant"
    MODEL = "model"
    OVERRIDE = "override"
    GRANT = "grant"


KINDS = {
    "InferenceGateway": DocumentKind.GATEWAY,
    "Tenant": DocumentKind.TENANT,
    "Model": DocumentKind.MODEL,
    "LimitOverride": DocumentKind.OVERRIDE,
    "AccessGrant": DocumentKind.GRANT,
}
Server = Annotated[
    str | None, typer.Option("--server", envvar="TIDEGATE_SERVER", help="The manager, such as http://127.0.0.1:8700.")
]
TokenFile = Annotated[
    Path | None, typer.Option("--token-file", envvar="TIDEGATE_TOKEN_FILE", help="A file with the bearer token.")
]
State = Annotated[Path, typer.Option("--state", envvar="TIDEGATE_STATE", help="The folder of a standalone.")]
Output = Annotated[Format, typer.Option("-o", "--output", help="How to show it.")]
Files = Annotated[
    list[str], typer.Option("-f", "--filename", help="A file, a folder, or - for standard input; may be repeated.")
]
TenantName = Annotated[str | None, typer.Option("-t", "--tenant", help="The tenant of a model or an override.")]
ModelName = Annotated[str, typer.Argument(metavar="TENANT/MODEL", help="A model.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would change and write nothing.")]
Reason = Annotated[str, typer.Option(help="Why, for the history.")]
Ticket = Annotated[str, typer.Option(help="A ticket, for the history.")]
Fingerprint = Annotated[
    str | None, typer.Option("--plan", metavar="FINGERPRINT", help="Only what the plan with it showed.")
]
DEMO = Path(".demo")


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (apply, get, delete, scale, traffic, pause, resume, limit, explain, events):
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
        for document, _, _ in ordered(connection, found):
            typer.echo(f"{document} would be written")
        show_changes(planned)
        return
    for document, path, raw in ordered(connection, found):
        answer = connection.write(path, raw, _asked(dry_run, plan, reason=reason, ticket=ticket))
        typer.echo(f"{document} {'would be' if dry_run else 'is'} written")
        show_changes(answer)


def show_changes(answer: Object) -> None:
    """Print what a dry run says."""
    for change in answer.get("changes", []):
        typer.echo(f"  {change['operation']} {change['object']}")
        typer.echo("".join(f"    {line}\n" for line in change["diff"].splitlines()), nl=False)


def get(
    kind: Annotated[DocumentKind, typer.Argument(help="What to show.")],
    name: Annotated[str | None, typer.Argument(help="One by its name (a model: TENANT/MODEL); absent: all.")] = None,
    tenant: TenantName = None,
    form: Output = Format.TABLE,
    server: Server = None,
    token_file: TokenFile = None,
    state: State = DEMO,
) -> None:
    """Show gateways, tenants or models with their state, replicas and limits."""
    connection = connect(server, token_file, state)
    found = list(_found(connection, kind, name, tenant))
    if form is not Format.TABLE:
        output.show(found[0] if name else {"items": found}, form)
        return
    output.table(kind.value, found)
    for obj in found:
        for sentence in output.trouble(obj):
            typer.echo(f"{obj['metadata']['name']}: {sentence}")


def delete(
    kind: Annotated[DocumentKind, typer.Argument(help="What to delete.")],
    name: Annotated[str, typer.Argument(help="Its name (a model: TENANT/MODEL).")],
    cascade: Annotated[bool, typer.Option("--cascade", help="Delete what depends on it too.")] = False,
    dry_run: DryRun = False,
    plan: Fingerprint = None,
    server: Server = None,
    token_file: TokenFile = None,
    state: State = DEMO,
) -> None:
    """Delete a document and everything that was made for it."""
    connection = connect(server, token_file, state)
    answer = connection.call("DELETE", path_of(kind, name) + _asked(dry_run, plan, cascade=str(cascade).lower()))
    for gone in answer.get("deleted", []):
        typer.echo(f"{gone} is being deleted")
    for gone in answer.get("documents", []):
        typer.echo(f"{gone} would be deleted")
    for kept in answer.get("kept", []):
        typer.echo(f"  {kept}")
    _show_plan(answer)


def scale(
    model: ModelName,
    version: Annotated[str, typer.Argument(help="A version of it.")],
    replicas: Annotated[int, typer.Argument(min=0, help="How many replicas.")],
    dry_run: DryRun = False,
    plan: Fingerprint = None,
    reason: Reason = "",
    ticket: Ticket = "",
    server: Server = None,
    token_file: TokenFile = None,
    state: State = DEMO,
) -> None:
    """Set the replicas of a version; the limit follows when they are ready."""
    asked = _asked(dry_run, plan, reason=reason, ticket=ticket)
    path = f"{_model(model)}/versions/{version}/scale{asked}"
    answer = connect(server, token_file, state).call("PUT", path, {"replicas": replicas})
    typer.echo(f"{model} {version}: {replicas} replicas{' (not written)' if dry_run else ''}")
    _show_plan(answer)


def traffic(
    model: ModelName,
    shares: Annotated[list[str], typer.Argument(help="VERSION=PER CENT, such as v1=90 v2=10.")],
    force: Annotated[bool, typer.Option("--force", help="Also where the limit has to fall for it.")] = False,
    dry_run: DryRun = False,
    plan: Fingerprint = None,
    reason: Reason = "",
    ticket: Ticket = "",
    server: Server = None,
    token_file: TokenFile = None,
    state: State = DEMO,
) -> None:
    """Move the traffic of a model between its versions; to go back, say the old shares."""
    wanted = [_share(share) for share in shares]
    asked = _asked(dry_run, plan, force=str(force).lower(), reason=reason, ticket=ticket)
    answer = connect(server, token_file, state).call("PUT", f"{_model(model)}/traffic{asked}", {"traffic": wanted})
    said = ", ".join(f"{share['version']} {share['weight']} %" for share in wanted)
    typer.echo(f"{model}: {said}{' (not written)' if dry_run else ''}")
    _show_plan(answer)


def _asked(dry_run: bool, plan: str | None, **said: str) -> str:
    """Return the query of a write; an empty fingerprint too: it is refused, not left out."""
    planned = {} if plan is None else {"plan": plan}
    return f"?{urllib.parse.urlencode({'dryRun': str(dry_run).lower(), **said, **planned})}"


def _show_plan(answer: Object) -> None:
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
    server: Server = None,
    token_file: TokenFile = None,
    state: State = DEMO,
) -> None:
    """Have the routes of a model answer 503 with a reason; its replicas stay."""
    path = f"{_model(model)}/pause{_asked(dry_run, None, ticket=ticket)}"
    answer = connect(server, token_file, state).call("PUT", path, {"paused": reason})
    typer.echo(f"{model} {'would be' if dry_run else 'is'} paused: {reason}")
    _show_plan(answer)


def resume(
    model: ModelName,
    reason: Reason = "",
    ticket: Ticket = "",
    dry_run: DryRun = False,
    server: Server = None,
    token_file: TokenFile = None,
    state: State = DEMO,
) -> None:
    """Open the routes of a paused model again."""
    path = f"{_model(model)}/pause{_asked(dry_run, None, reason=reason, ticket=ticket)}"
    answer = connect(server, token_file, state).call("PUT", path, {"paused": None})
    typer.echo(f"{model} {'would be' if dry_run else 'is'} served again")
    _show_plan(answer)


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
    answer = connect(server, token_file, state).call("GET", f"{_model(model)}/limit")
    if form is not Format.TABLE:
        output.show(answer, form)
        return
    for line in limit_lines(model, answer):
        typer.echo(line)


def explain(
    model: ModelName,
    about: Annotated[About, typer.Option("--about", help="The limit, or which replicas are warm.")] = About.LIMIT,
    form: Output = Format.TABLE,
    server: Server = None,
    token_file: TokenFile = None,
    state: State = DEMO,
) -> None:
    """Tell in words why the limit of a model is what it is, or how far its replicas have come with their warm-up."""
    answer = connect(server, token_file, state).call("GET", f"{_model(model)}/explain?about={about.value}")
    if form is not Format.TABLE:
        output.show(answer, form)
        return
    for sentence in answer["explanation"]:
        typer.echo(sentence)
    if formula := answer.get("formula"):
        typer.echo(f"Formula: {formula}")


def events(
    follow: Annotated[bool, typer.Option("--follow/--no-follow", help="Go on until Ctrl-C.")] = True,
    server: Server = None,
    token_file: TokenFile = None,
    state: State = DEMO,
) -> None:
    """Show what happens: limits, replicas, conditions."""
    connection = connect(server, token_file, state)
    source = connection.stream("/v1/events") if follow else connection.call("GET", "/v1/events?follow=false")["items"]
    try:
        for event in source:
            typer.echo(f"{event['time']}  {event['type']:<9}  {event['object']}: {event['message']}")
    except KeyboardInterrupt:
        raise typer.Exit(0) from None


def _found(connection: Connection, kind: DocumentKind, name: str | None, tenant: str | None) -> Iterator[Object]:
    if name is not None:
        owner, _, last = name.rpartition("/")
        yield connection.call("GET", _path(kind, last, owner or tenant))
    elif kind is not DocumentKind.MODEL:
        yield from connection.items(_path(kind, "", tenant if kind is DocumentKind.OVERRIDE else None))
    else:
        tenants = [tenant] if tenant else [t["metadata"]["name"] for t in connection.items("/v1/tenants")]
        for owner in tenants:
            yield from connection.items(_path(kind, "", owner))


def path_of(kind: DocumentKind, name: str) -> str:
    """Return the path of a document, a model's by TENANT/MODEL."""
    tenant, _, last = name.rpartition("/")
    return _path(kind, last, tenant or None)


def _path(kind: DocumentKind, name: str, tenant: str | None) -> str:
    try:
        return client.path_of(kind, f"{tenant}/{name}" if tenant else name)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def _model(name: str) -> str:
    tenant, slash, model = name.partition("/")
    if not slash or not tenant or not model:
        raise typer.BadParameter(f"{name!r} is not TENANT/MODEL")
    return f"/v1/tenants/{tenant}/models/{model}"


def _tenant_of(connection: Connection, document: Document) -> str | None:
    namespace = document.namespace
    if namespace is None or document.kind not in ("Model", "LimitOverride"):
        return None
    if document.kind == "LimitOverride" and namespace == SYSTEM:
        return None
    return tenant_in(connection, namespace)


def tenant_in(connection: Connection, namespace: str) -> str:
    """Return the tenant whose namespace that is; the name of the namespace where no tenant says so."""
    tenants = connection.items("/v1/tenants")
    return next(
        (t["metadata"]["name"] for t in tenants if (t["spec"].get("namespace") or t["metadata"]["name"]) == namespace),
        namespace,
    )
