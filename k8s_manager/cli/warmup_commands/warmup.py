"""Commands on warm-up plans: check one, and run one against a server anywhere."""

import asyncio
import os
import signal
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from aiohttp import web
from pydantic import ValidationError
from rich.live import Live
from rich.table import Table

from istio_templates.documents import load, unlisted
from istio_templates.documents.parse import problems_of
from istio_templates.documents.warmup import FileRef, WarmupPlanSpec
from istio_templates.errors import Invalid, Problem
from istio_templates.host_port import parted
from k8s_manager.cli import output
from k8s_manager.cli.output import FORMS, Format, plain_form_of
from k8s_manager.cli.server_commands.supervisor import supervise
from k8s_manager.runtime.clock import SystemClock
from warmup.agent import Agent
from warmup.clients import connect
from warmup.engine import CaseResult, Progress, WarmupOutcome, warm
from warmup.incarnation import listening
from warmup.measurement import export
from warmup.plans import request_compiler
from warmup.plans.bundle import Bundle, bundle_from

PlanFile = Annotated[Path, typer.Argument(help="A WarmupPlan, a Model with a plan, or a bare plan (YAML or JSON).")]
Files = Annotated[Path | None, typer.Option("--files", help="Folder with the plan's files: CONFIGMAP/KEY.")]
ModelOption = Annotated[
    str | None, typer.Option("--model", help="The model's name at the server; else the plan's own.")
]
Output = Annotated[Format, typer.Option("-o", "--output", parser=plain_form_of, metavar=FORMS, help="How to show it.")]
REFUSED, NOT_WARM = 2, 4


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    commands = typer.Typer(help="Try a warm-up plan before replicas depend on it.", no_args_is_help=True)
    commands.command()(check)
    commands.command()(run)
    commands.command(name="export")(export_plan)
    commands.command(hidden=True)(agent)
    app.add_typer(commands, name="warmup")


def check(plan: PlanFile, files: Files = None, model: ModelOption = None, form: Output = Format.TABLE) -> None:
    """Check a plan without any server, and show the requests that it makes."""
    bundle = read(plan, files, model)
    if problems := request_compiler.problems_of(bundle):
        raise Invalid(str(plan), problems)
    calls = [] if request_compiler.is_open(bundle) else list(request_compiler.compiled(bundle).calls)
    answer: dict[str, Any] = {
        "model": bundle.spec.target.model or bundle.model,
        "hash": bundle.hash,
        "calls": [
            {
                "case": call.case,
                "batch": call.batch,
                "requests": len(call.requests),
                "path": call.requests[0].path,
                "bytes": max(len(request.body) for request in call.requests),
            }
            for call in calls
        ],
    }
    if form is not Format.TABLE:
        output.show(answer, form)
        return
    if calls:
        columns = ("CASE", "BATCH", "REQUESTS", "PATH", "LARGEST BODY")
        table = output.empty(*columns)
        for call in answer["calls"]:
            size = f"{call['bytes']} B"
            table.add_row(call["case"], str(call["batch"]), str(call["requests"]), call["path"], size)
        output.console().print(table)
    else:
        typer.echo("The server is asked for what the plan leaves out; warmup run shows the requests.")
    typer.echo(f"The plan is good. Its name is {bundle.hash}.")


def run(
    plan: PlanFile,
    address: Annotated[str, typer.Option("--address", help="The server: HOST, or HOST:PORT for another port.")],
    files: Files = None,
    model: ModelOption = None,
    form: Output = Format.TABLE,
) -> None:
    """Send a plan's requests to a server, as the manager would to a new replica. Exit code 4: it is not warm."""
    bundle = read(plan, files, model)
    host, port = address_of(address, bundle)
    outcome = asyncio.run(_run(bundle, host, port, form))
    if form is Format.TABLE:
        output.console().print(_progress(outcome.rows))
        verdict = "is warm" if outcome.result == "Verified" else f"is not warm ({outcome.result})"
        typer.echo(f"{address} {verdict} after {outcome.seconds:.1f} s: {outcome.said}.")
    else:
        output.show(_answer(outcome), form)
    if outcome.result != "Verified":
        raise typer.Exit(REFUSED if outcome.result == "PlanWrong" else NOT_WARM)


class Own(StrEnum):
    """A server that can warm itself."""

    TFS = "tfs"
    TRITON = "triton"


def export_plan(
    plan: PlanFile,
    server: Annotated[Own, typer.Option("--for", help="TensorFlow Serving or Triton.")],
    out: Annotated[Path, typer.Option("--out", help="The model's folder, into which the files are written.")],
    files: Files = None,
    model: ModelOption = None,
) -> None:
    """Write a plan in a server's own words, so that it warms itself while it loads."""
    found = read(plan, files, model)
    for name, content in (export.tfs if server is Own.TFS else export.triton)(found).items():
        place = out / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
        typer.echo(f"{place} ({len(content)} bytes)")
    if server is Own.TRITON:
        typer.echo(f"Put {export.TRITON_FILE} into the model's config.pbtxt; the data stay where they are.")


def agent(
    plan: Annotated[Path, typer.Option("--plan", help="The plan as the manager renders it (plan.json).")],
    state: Annotated[Path, typer.Option("--state", help="Where to keep what was found.")],
    listen: Annotated[str, typer.Option("--listen", help="HOST:PORT for the probes.")] = "0.0.0.0:8701",
) -> None:
    """Warm the server beside this container, and answer its probes. The manager renders this into pods."""
    supervise()
    bundle = bundle_from(plan.read_text())
    host, port = parted(listen)
    asyncio.run(_agent(bundle, state, host, int(port)))


async def _agent(bundle: Bundle, state: Path, host: str, port: int) -> None:
    target = bundle.spec.target
    found = Agent(
        bundle,
        state,
        SystemClock(),
        lambda: listening(target.port),
        lambda: connect(target, os.environ.get("POD_IP", "127.0.0.1"), bundle.hash, bundle.spec.load.concurrency),
    )
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    runner = web.AppRunner(found.app(), access_log=None, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, host, port).start()
    working = asyncio.create_task(found.run())
    try:
        await asyncio.wait([working, asyncio.create_task(stop.wait())], return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            working.result()
    finally:
        working.cancel()
        await runner.cleanup()


async def _run(bundle: Bundle, host: str, port: int, form: Format) -> WarmupOutcome:
    target = bundle.spec.target.model_copy(update={"port": port})
    client = connect(target, host, bundle.hash, bundle.spec.load.concurrency)
    shown = Live(console=output.errors(), refresh_per_second=4, transient=True)
    try:
        with shown:

            def tell(progress: Progress) -> None:
                if form is Format.TABLE:
                    shown.update(_progress(progress.rows, progress.said))

            return await warm(bundle, client, SystemClock(), tell)
    finally:
        await client.close()


def read(file: Path, files: Path | None, model: str | None) -> Bundle:
    """Return the plan in a file with all that belongs to it; raises `Invalid` where it is none."""
    try:
        documents = [found for raw in load(file.read_text(), str(file)) for found in unlisted(raw)]
    except (OSError, UnicodeDecodeError) as error:
        raise Invalid(str(file), [Problem("", f"cannot be read ({error})")]) from error
    found = [plan for document in documents if (plan := plan_in(document, str(file)))]
    if len(found) != 1:
        raise Invalid(str(file), [Problem("", f"holds {len(found)} plans; give a file with one")])
    name, spec = found[0]
    return bundle_of(model or name, spec, files)


def bundle_of(model: str, spec: WarmupPlanSpec, files: Path | None) -> Bundle:
    """Return a plan with its files from a folder."""
    return Bundle(model, spec, _contents(spec, files))


def plan_in(document: dict[str, Any], source: str) -> tuple[str, WarmupPlanSpec] | None:
    """Return a plan and the name of its model, from whatever form it has."""
    name = str(_mapping(document.get("metadata")).get("name", "model"))
    raw: Any
    raw, root = document, ""
    if document.get("kind") == "WarmupPlan":
        raw, root = document.get("spec"), "spec"
    elif document.get("kind") == "Model":
        warmup = _mapping(_mapping(document.get("spec")).get("warmup"))
        if "plan" not in warmup:
            return None
        raw, root = warmup["plan"], "spec.warmup.plan"
    elif "kind" in document:
        return None
    try:
        return name, WarmupPlanSpec.model_validate(raw)
    except ValidationError as error:
        raise Invalid(source, problems_of(error, WarmupPlanSpec, *([root] if root else []))) from error


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _contents(spec: WarmupPlanSpec, files: Path | None) -> dict[FileRef, bytes]:
    out: dict[FileRef, bytes] = {}
    for ref in spec.files():
        place = (files or Path()) / ref.config_map / ref.key
        try:
            out[ref] = place.read_bytes()
        except OSError as error:
            said = f"file {ref.config_map}/{ref.key} cannot be read ({error}); name its folder with --files"
            raise Invalid("warm-up plan", [Problem("", said)]) from error
    return out


def address_of(address: str, bundle: Bundle) -> tuple[str, int]:
    """Return host and port of a server; without a port, the plan's."""
    host, port = parted(address)
    if not port and not address.endswith(":"):
        return host, bundle.spec.target.port
    if not port.isdigit() or not 0 < int(port) < 65536:
        raise Invalid("--address", [Problem("", f"{port!r} is no port; write HOST or HOST:PORT")])
    return host, int(port)


def _progress(rows: tuple[CaseResult, ...], said: str = "") -> Table:
    table = output.empty("CASE", "BATCH", "CALLS", "FAILED", "FIRST", "LAST", "QUANTILE", "STATE")
    for row in rows:
        state = f"{row.state}: {row.said}" if row.said else row.state
        figures = (_ms(row.first), _ms(row.last), _ms(row.latency))
        table.add_row(row.case, str(row.batch), str(row.calls), str(row.failures), *figures, state)
    if said and not rows:
        table.add_row("-", "", "", "", "", "", "", said)
    return table


def _ms(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds * 1000:.1f} ms"


def _answer(outcome: WarmupOutcome) -> dict[str, Any]:
    rows = [
        {
            "case": r.case,
            "batch": r.batch,
            "calls": r.calls,
            "failures": r.failures,
            "state": r.state,
            "message": r.said,
        }
        | {"firstMs": _number(r.first), "lastMs": _number(r.last), "quantileMs": _number(r.latency)}
        for r in outcome.rows
    ]
    return {"result": outcome.result, "message": outcome.said, "seconds": round(outcome.seconds, 3), "cases": rows}


def _number(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 3)
