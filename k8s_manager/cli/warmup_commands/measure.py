"""The command that measures how many requests a second one replica serves."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.live import Live
from rich.table import Table

from istio_templates.documents.fields import seconds
from istio_templates.errors import Conflict, Invalid, Problem
from k8s_manager.cli import output
from k8s_manager.cli.api_commands.documents import DEMO, Output, Server, State, TokenFile
from k8s_manager.cli.connection import connect as connect_to_manager
from k8s_manager.cli.output import Format
from k8s_manager.cli.warmup_commands.reservation import Reserve, free, reservation, reserved
from k8s_manager.cli.warmup_commands.warmup import Files, address_of, bundle_of, plan_in, read
from k8s_manager.runtime.clock import SystemClock
from warmup.clients import connect
from warmup.measurement import load_ramp
from warmup.measurement.curve import svg
from warmup.measurement.load_ramp import Step
from warmup.measurement.measure import Rates
from warmup.measurement.measure import measure as measured
from warmup.plans.bundle import Bundle


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(measure)


def measure(
    model: Annotated[str, typer.Argument(help="TENANT/MODEL; or any name, with --plan and --address.")],
    plan: Annotated[Path | None, typer.Option("--plan", help="Another plan than the model's own.")] = None,
    address: Annotated[str | None, typer.Option("--address", help="A server of your choice, not a replica.")] = None,
    target: Annotated[str | None, typer.Option("--target", help="Latency not to exceed; else the plan's.")] = None,
    first: Annotated[float, typer.Option("--first", min=0.1, help="The first rate, in requests/s.")] = 5,
    most: Annotated[float, typer.Option("--most", min=0.1, help="The highest rate that is tried.")] = 5000,
    hold: Annotated[float, typer.Option("--hold", min=0.5, help="Seconds for which each rate is held.")] = 5,
    picture: Annotated[Path | None, typer.Option("--svg", help="Write the curve there as a picture.")] = None,
    files: Files = None,
    form: Output = Format.TABLE,
    server: Server = None,
    token_file: TokenFile = None,
    state: State = DEMO,
) -> None:
    """Drive one replica with its plan's requests at rising rates until its latency breaks; propose perReplicaQps.

    It takes a replica without traffic, or one of several with it, never the only one, and no second one while another
    caller measures the model. Ctrl-C stops it. It has to run where replicas can be reached: in the cluster, or beside
    a standalone.
    """
    bundle: Bundle | None = read(plan, files, None) if plan else None
    reserve: Reserve = free
    if address is None or bundle is None:
        connection = connect_to_manager(server, token_file, state)
        tenant, _, name = model.partition("/")
        path = f"/v1/tenants/{tenant}/models/{name}"
        bundle = bundle or _own(connection.call("GET", path), model, files)
        if address is None:
            reserve = reservation(connection, path)
            address = chosen(connection.call("GET", f"{path}/replicas")["items"], model)
    host, port = address_of(address, bundle)
    longest = float(seconds(target or bundle.spec.success.latency.max))
    rates = Rates(first, most, hold, longest)
    steps = asyncio.run(reserved(reserve, lambda: _run(bundle, host, port, rates, form)))
    proposed = load_ramp.proposal(steps)
    if picture:
        picture.write_text(svg(f"{model} at {address}", steps, longest, proposed))
    _show(model, address, steps, proposed, form)
    if proposed is None:
        raise typer.Exit(2)


def _own(document: dict[str, Any], model: str, files: Path | None) -> Bundle:
    found = plan_in(document, model)
    if found is None:
        said = "has no plan in its document; give one with --plan"
        raise Invalid(model, [Problem("spec.warmup.plan", said)])
    return bundle_of(*found, files)


def chosen(replicas: Sequence[dict[str, Any]], model: str) -> str:
    """Return the address of the replica to measure; raises `Conflict` where each is needed."""
    ready = [replica for replica in replicas if replica["ready"] and replica["address"]]
    idle = [replica for replica in ready if not replica["weight"]]
    for replica in idle or ready:
        others = [other for other in ready if other["version"] == replica["version"]]
        if not replica["weight"] or len(others) > 1:
            return str(replica["address"])
    said = "has no warm replica" if not ready else "has no replica that the traffic could do without"
    raise Conflict(model, [Problem("", f"{said}; scale a version to 2, or give a server with --address")])


async def _run(bundle: Bundle, host: str, port: int, rates: Rates, form: Format) -> tuple[Step, ...]:
    target = bundle.spec.target.model_copy(update={"port": port})
    client = connect(target, host, bundle.hash, 1000)
    live = Live(console=output.errors(), refresh_per_second=4, transient=True)
    try:
        with live:

            def tell(steps: Sequence[Step]) -> None:
                if form is Format.TABLE:
                    live.update(_table(steps))

            return await measured(bundle, client, SystemClock(), rates, tell)
    finally:
        await client.close()


def _table(steps: Sequence[Step]) -> Table:
    table = output.empty("OFFERED", "ANSWERED", "LATENCY", "FAILED", "STATE")
    for step in steps:
        latency = "-" if step.latency is None else f"{step.latency * 1000:.1f} ms"
        table.add_row(
            f"{step.offered:.4g}/s", f"{step.answered:.4g}/s", latency, str(step.failed), step.broke or "holds"
        )
    return table


def _show(model: str, address: str, steps: Sequence[Step], proposed: float | None, form: Format) -> None:
    if form is not Format.TABLE:
        curve = [
            {"offered": s.offered, "answered": round(s.answered, 3), "failed": s.failed, "broke": s.broke or None}
            | {"latencyMs": None if s.latency is None else round(s.latency * 1000, 3)}
            for s in steps
        ]
        output.show({"model": model, "address": address, "perReplicaQps": proposed, "curve": curve}, form)
        return
    output.console().print(_table(sorted(steps, key=lambda step: step.offered)))
    if proposed is None:
        typer.echo(f"{model}: no rate held; begin lower with --first, or look at the server.")
    else:
        typer.echo(f"{model}: perReplicaQps: {proposed:g}  (nine tenths of the highest rate that held)")
