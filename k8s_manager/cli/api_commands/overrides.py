"""`tidegate override`: set, list and end what holds in place of limits for a time."""

import getpass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer

from istio_templates.documents.fields import seconds
from k8s_manager.admission.rules.override_rules import override_name
from k8s_manager.cli import output
from k8s_manager.cli.api_commands.documents import DEMO, Output, Server, State, TokenFile
from k8s_manager.cli.connection import connect
from k8s_manager.cli.output import Format

Object = dict[str, Any]
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
    shadow: Annotated[bool, typer.Option("--shadow", help="Refuse nothing and count what would have been.")] = False,
    floor: Annotated[bool, typer.Option("--floor", help="Kill switch: every model at its floor.")] = False,
    tenant: Annotated[str | None, typer.Option(help="For all models of a tenant.")] = None,
    gateway: Annotated[str | None, typer.Option(help="For all models on a gateway.")] = None,
    label: Annotated[list[str] | None, typer.Option(metavar="KEY=VALUE", help="For models with this label.")] = None,
    everything: Annotated[bool, typer.Option("--everything", help="For all models of all tenants.")] = False,
    author: Annotated[str | None, typer.Option(help="Who; by default who is logged in here.")] = None,
    name: Annotated[str | None, typer.Option(help="A name of your own; one that exists is replaced.")] = None,
    server: Server = None,
    token_file: TokenFile = None,
    state: State = DEMO,
) -> None:
    """Override limits until the time is up.

    tidegate override set search/ranker --total 100 --for 2h --reason "incident 4711"
    tidegate override set --gateway shared --freeze --for 30m --reason "node upgrade"
    tidegate override set --everything --floor --for 10m --reason "database on fire"
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
    chosen = name or override_name(target)
    connect(server, token_file, state).write(f"/v1/overrides/{chosen}", {"spec": spec})
    typer.echo(f"override {chosen} holds until {spec['expires']}; end it with: tidegate override end {chosen}")


@app.command("list")
def list_(
    form: Output = Format.TABLE, server: Server = None, token_file: TokenFile = None, state: State = DEMO
) -> None:
    """Show all overrides, those of tenants' own people and ended ones included."""
    found = list(connect(server, token_file, state).items("/v1/overrides"))
    if form is not Format.TABLE:
        output.show({"items": found}, form)
        return
    output.table("override", found)


@app.command()
def end(name: Name, server: Server = None, token_file: TokenFile = None, state: State = DEMO) -> None:
    """End an override now; the limit goes back to what the replicas can serve."""
    if "/" in name:
        namespace, _, own = name.partition("/")
        raise typer.BadParameter(f"it is a tenant's own; kubectl -n {namespace} delete limitoverride {own}")
    connect(server, token_file, state).call("DELETE", f"/v1/overrides/{name}")
    typer.echo(f"override {name} is ended")


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
        end = datetime.now(UTC) + timedelta(seconds=float(seconds(ttl)))
    except (ValueError, OverflowError) as error:
        raise typer.BadParameter(f"--for {ttl}: {error}") from error
    return end.isoformat(timespec="milliseconds").replace("+00:00", "Z")
