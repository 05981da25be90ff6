"""`tidegate override`: set, list and end what holds in place of limits for a time."""

import getpass
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from istio_templates.documents.fields import span
from istio_templates.documents.override import moment_text
from k8s_manager.admission.rules.override_rules import override_name
from k8s_manager.cli import output
from k8s_manager.cli.api_commands import outcome
from k8s_manager.cli.api_commands.documents import DEMO, DryRun, Output, Server, State, TokenFile
from k8s_manager.cli.connection import Connection, connect
from k8s_manager.cli.output import Format
from k8s_manager.cli.selection import owner_of_namespace
from k8s_manager.client import GrantedRole, path_of
from k8s_manager.document_state import trouble
from k8s_manager.world.installation import SYSTEM

Object = dict[str, Any]
_KIND = "LimitOverride"
app = typer.Typer(
    help="Set a limit aside for a time: a figure, a freeze, or the kill switch. It ends by itself.",
    no_args_is_help=True,
)
Name = Annotated[str, typer.Argument(help="The override's name, as `tidegate override list` shows it.")]


def add_to(parent: typer.Typer) -> None:
    """Add the commands."""
    parent.add_typer(app, name="override")


@app.command("set")
def set_(
    model: Annotated[
        str | None, typer.Argument(metavar="[TENANT/MODEL]", help="One model; or say for whom below.")
    ] = None,
    *,
    reason: Annotated[str, typer.Option(help="Why, for those who see it later.")],
    ttl: Annotated[str, typer.Option("--for", metavar="DURATION", help="How long, such as 30m or 2h.")] = "1h",
    total: Annotated[float | None, typer.Option(help="Requests/s over all gateway pods.")] = None,
    per_replica_qps: Annotated[float | None, typer.Option(help="Requests/s that one replica can serve.")] = None,
    freeze: Annotated[bool, typer.Option("--freeze", help="Keep what is in force, whatever the replicas do.")] = False,
    unlimited: Annotated[bool, typer.Option("--unlimited", help="Kill switch: no limit at all.")] = False,
    shadow: Annotated[
        bool, typer.Option("--shadow", help="Shadow mode: admit every request and count those over the limit.")
    ] = False,
    floor: Annotated[bool, typer.Option("--floor", help="Kill switch: every model at its floor.")] = False,
    tenant: Annotated[str | None, typer.Option(help="For all models of a tenant.")] = None,
    gateway: Annotated[str | None, typer.Option(help="For all models on a gateway.")] = None,
    label: Annotated[list[str] | None, typer.Option(metavar="KEY=VALUE", help="For models with this label.")] = None,
    everything: Annotated[bool, typer.Option("--everything", help="For all models of all tenants.")] = False,
    author: Annotated[str | None, typer.Option(help="Who; by default who is logged in here.")] = None,
    name: Annotated[str | None, typer.Option(help="A name of your own; one that exists is replaced.")] = None,
    dry_run: DryRun = False,
    form: Output = Format.TABLE,
    server: Server = None,
    token_file: TokenFile = None,
    state: State = DEMO,
) -> None:
    """Override limits until the time is up.

    tidegate override set search/ranker --total 100 --for 2h --reason "incident 4711"
    tidegate override set --gateway shared --freeze --for 30m --reason "node upgrade"
    tidegate override set --everything --floor --for 10m --reason "database on fire"

    Who may override in the whole fleet writes an operator's override. A tenant's own people write one of the tenant's,
    for its models, inside its range.
    """
    changes = {
        "total": total,
        "perReplicaQps": per_replica_qps,
        "mode": "shadow" if shadow else None,
        "action": "freeze" if freeze else "unlimited" if unlimited else "floor" if floor else None,
    }
    switches = (freeze, unlimited, floor, shadow)
    if sum(value is not None for value in (total, per_replica_qps)) + sum(switches) != 1:
        said = "give exactly one of --total, --per-replica-qps, --freeze, --unlimited, --floor and --shadow"
        raise typer.BadParameter(said)
    target = _target(model, tenant, gateway, label or [], everything)
    spec = {
        "author": author or getpass.getuser(),
        "reason": reason,
        "expires": _expires(ttl),
        "target": target,
        **{key: value for key, value in changes.items() if value is not None},
    }
    _set(connect(server, token_file, state), name or override_name(target), spec, dry_run, form)


def _set(connection: Connection, name: str, spec: Object, dry_run: bool, form: Format) -> None:
    """Plan an override and write it, and print what holds then, what it replaces and what caps it; or, for programs,
    the override, of a dry run the plan."""
    grants = connection.whoami()["grants"]
    owner = None if _may_override(grants) else _only_tenant(grants, spec["target"])
    called = f"{owner}/{name}" if owner else name
    path = path_of("override", called)
    planned = connection.write(path, {"spec": spec}, "?dryRun=true")
    answer = planned if dry_run else connection.write(path, {"spec": spec})
    ends = f"would hold until {spec['expires']}"
    if not dry_run:
        ends = f"is set until {spec['expires']}; end it with: tidegate override end {called}"

    def said() -> None:
        typer.echo(f"override {called} {ends}")
        for told in planned["reasons"]:
            typer.echo(f"  {told}")
        for subject, moves in planned["limits"].items():
            typer.echo(f"  limit of {subject}: {_figure(moves['before'])} -> {_figure(moves['after'])}")

    outcome.show(form, answer, (_KIND, name), said)


@app.command("list")
def list_(
    tenant: Annotated[str | None, typer.Option("-t", "--tenant", help="Those of one tenant's own people.")] = None,
    form: Output = Format.TABLE,
    server: Server = None,
    token_file: TokenFile = None,
    state: State = DEMO,
) -> None:
    """Show the overrides that you may see, those of tenants' own people and ended ones included."""
    path = path_of("override", f"{tenant}/" if tenant else "")
    found = list(connect(server, token_file, state).items(path))
    if form is not Format.TABLE:
        output.show({"items": found}, form)
        return
    output.table("override", found)
    for obj in found:
        for sentence in trouble(obj, "Expired"):
            typer.echo(f"{obj['metadata']['name']}: {sentence}")


@app.command()
def end(
    name: Name,
    form: Output = Format.TABLE,
    server: Server = None,
    token_file: TokenFile = None,
    state: State = DEMO,
) -> None:
    """End an override now; the limit goes back to what the replicas can serve.

    One of a tenant's own people is named NAMESPACE/NAME, as the list shows it; TENANT/MODEL ends that of one model.
    """
    connection = connect(server, token_file, state)
    found = _found(connection, name)
    answer = connection.call("DELETE", found)
    named = (_KIND, found.rpartition("/")[2])
    outcome.show(form, answer, named, lambda: typer.echo(f"override {name} is ended"))


def _may_override(grants: Sequence[GrantedRole]) -> bool:
    """Tell whether the caller may override limits in the whole fleet."""
    return any(grant["tenants"] == "all" and "override" in grant["rights"] for grant in grants)


def _only_tenant(grants: Sequence[GrantedRole], target: Object) -> str | None:
    """Return the one tenant whose models an override is for; None where it may reach others."""
    if target.get("everything") or target.get("gateway"):
        return None
    if "tenant" in target:
        return str(target["tenant"])
    tenants = [grant["tenants"] for grant in grants if "operate" in grant["rights"]]
    named = sorted({tenant for found in tenants if found != "all" for tenant in found})
    if len(named) == 1:
        return named[0]
    raise typer.BadParameter(
        f"say for which tenant: --tenant {' or --tenant '.join(named)}" if named else "say --tenant"
    )


def _found(connection: Connection, name: str) -> str:
    """Return the path of an override, from what people call it."""
    owner, _, last = name.rpartition("/")
    there = list(connection.items("/v1/overrides"))
    fleet = _may_override(connection.whoami()["grants"])
    wanted = {last, override_name({"tenant": owner, "model": last})} if owner else {last}
    matching = [obj["metadata"] for obj in there if obj["metadata"]["name"] in wanted]
    own = [found for found in matching if found["namespace"] != SYSTEM]
    operators = [found for found in matching if found["namespace"] == SYSTEM and (fleet or not own)]
    if owner:
        tenants = {found["namespace"]: owner_of_namespace(connection, found["namespace"]) for found in own}
        own = [found for found in own if owner in (found["namespace"], tenants[found["namespace"]])]
        operators = [found for found in operators if found["name"] != last]
    for found in [*operators, *own] if fleet else [*own, *operators]:
        if found["namespace"] == SYSTEM:
            return path_of("override", found["name"])
        return path_of("override", f"{owner_of_namespace(connection, found['namespace'])}/{found['name']}")
    return path_of("override", name)


def _figure(limit: float | None) -> str:
    return "none" if limit is None else f"{limit:g}/s"


def _target(model: str | None, tenant: str | None, gateway: str | None, labels: list[str], everything: bool) -> Object:
    owner, _, name = (model or "").partition("/")
    if model and not (owner and name):
        raise typer.BadParameter(f"{model!r} is not TENANT/MODEL")
    pairs = [label.partition("=") for label in labels]
    if wrong := [key for key, sign, _ in pairs if not sign]:
        raise typer.BadParameter(f"--label {wrong[0]} is not KEY=VALUE")
    found = {
        "tenant": owner or tenant,
        "model": name or None,
        "gateway": gateway,
        "labels": {key: value for key, _, value in pairs} or None,
        "everything": everything or None,
    }
    target = {key: value for key, value in found.items() if value}
    if not target:
        raise typer.BadParameter("say for whom: TENANT/MODEL, --tenant, --gateway, --label or --everything")
    return target


def _expires(ttl: str) -> str:
    try:
        end = datetime.now(UTC) + span(ttl)
    except (ValueError, OverflowError) as error:
        raise typer.BadParameter(f"--for {ttl}: {error}") from error
    return moment_text(end)
