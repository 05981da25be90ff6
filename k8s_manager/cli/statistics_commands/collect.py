"""`tidegate collect`: what the access logs of gateways say of requests."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from enum import StrEnum
from math import inf
from pathlib import Path
from typing import IO, Annotated, Any

import typer
import uvloop
from rich.progress import Progress
from rich.table import Table

from collectors.access_log.accounting import Accounting
from collectors.access_log.engine import Engine
from collectors.access_log.rows import WINDOW, Place, StatsRow, unique
from collectors.access_log.series import in_steps
from collectors.access_log.summary import summary
from collectors.access_log.text_lines import batches
from istio_templates.documents.fields import seconds
from istio_templates.errors import Invalid, Problem
from k8s_manager.cli import output
from k8s_manager.cli.output import FORMS, Format, plain_form_of
from k8s_manager.cli.server_commands.free_port import require_free
from k8s_manager.cli.server_commands.serve import address
from k8s_manager.runtime.timestamp import timestamp

Object = dict[str, Any]
STDIN = "-"


class Level(StrEnum):
    """How finely requests are told apart."""

    PLATFORM = "platform"
    GATEWAY = "gateway"
    TENANT = "tenant"
    MODEL = "model"
    VERSION = "version"


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(collect)


def collect(
    files: Annotated[
        list[str] | None,
        typer.Argument(metavar="FILE...", help="Access logs of gateway pods, a file for each pod; - for stdin."),
    ] = None,
    level: Annotated[Level, typer.Option(help="How finely requests are told apart.")] = Level.MODEL,
    tenant: Annotated[str | None, typer.Option(metavar="NAME", help="Of this tenant only.")] = None,
    model: Annotated[str | None, typer.Option(metavar="NAME", help="Of this model only.")] = None,
    step: Annotated[
        str, typer.Option(metavar="TIME", help="Add up this long, in tens of seconds (10s, 5m, 1h); 0s: everything.")
    ] = "0s",
    form: Annotated[
        Format, typer.Option("-o", "--output", parser=plain_form_of, metavar=FORMS, help="How to show it.")
    ] = Format.TABLE,
    pods: Annotated[
        bool, typer.Option("--pods", help="Follow the logs of a cluster's gateway pods until SIGTERM, for Prometheus.")
    ] = False,
    kubeconfig: Annotated[
        Path | None, typer.Option(help="With --pods: the cluster; absent: the pod's own service account.")
    ] = None,
    listen: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="With --pods: where /metrics is served.")
    ] = "127.0.0.1:8710",
) -> None:
    """Say what became of the requests in access logs: demand, what the limit refused, errors, latency.

    The lines are those that gateways write (docs/access-log.md), as `kubectl logs` shows them or as they lie on a node.
    Of files nothing is asked of a cluster. With --pods the logs of all gateway pods that write one are followed.

    kubectl logs -n inference-gw gateway-0 | tidegate collect - --step 1m

    tidegate collect --pods --kubeconfig ~/.kube/config
    """  # fmt: skip
    if pods == bool(files):
        raise typer.BadParameter("give files to read, - for stdin, or --pods")
    if pods:
        _follow(kubeconfig, listen)
        return
    span = _step(step)
    engine = Engine()
    rows = [row for file in files or () for row in _rows(engine, file)]
    wanted = [row for row in unique(rows) if _is_wanted(row.key.place, level, tenant, model)]
    found = in_steps(wanted, span or sys.maxsize)
    start = min((row.key.start for row in wanted), default=0)
    if form is Format.TABLE:
        _table(found, start if not span else None)
        _say(engine.accounting)
    else:
        items = [_item(row, start if not span else row.key.start) for row in found]
        output.show({"step": span or None, "items": items, "lines": _lines(engine.accounting)}, form)


def _follow(kubeconfig: Path | None, listen: str) -> None:
    from k8s_manager.collector.process import run

    where = address(listen)
    require_free(*where)
    uvloop.run(run(kubeconfig, where))


def _step(text: str) -> int:
    try:
        span = seconds(text)
    except ValueError as error:
        raise typer.BadParameter(f"--step {text!r} is no time; write 10s, 5m or 1h") from error
    if span < 0 or span % WINDOW or span == inf:
        raise typer.BadParameter(f"--step {text} is no multiple of {WINDOW} s, the length of a window")
    return int(span)


def _rows(engine: Engine, file: str) -> Iterator[StatsRow]:
    try:
        with _opened(file) as stream:
            for batch in batches(stream):
                yield from engine.feed(file, batch)
    except OSError as error:
        raise Invalid(file, [Problem("", f"cannot be read ({error.strerror}); give a file that is there")]) from error
    yield from engine.end(file)


@contextmanager
def _opened(file: str) -> Iterator[IO[bytes]]:
    if file == STDIN:
        yield sys.stdin.buffer
        return
    size = Path(file).stat().st_size
    with (
        Progress(transient=True, disable=not sys.stderr.isatty(), console=output.errors()) as bar,
        bar.open(file, "rb", description=f"reading {file}", total=size) as stream,
    ):
        yield stream


def _is_wanted(place: Place, level: str, tenant: str | None, model: str | None) -> bool:
    return place.level == level and tenant in (None, place.tenant) and model in (None, place.model)


def _item(row: StatsRow, start: int) -> Object:
    place = {name: value for name, value in row.key.place._asdict().items() if value and name != "level"}
    return {"start": _moment(start), **place, **summary(row)}


def _table(rows: list[StatsRow], start: int | None) -> None:
    out = Table(box=None, pad_edge=False)
    for name in ("START", "WHAT"):
        out.add_column(name)
    for name in ("DEMAND", "LIMITED", "4XX", "5XX", "GONE", "P50", "P99"):
        out.add_column(name, justify="right")
    for row in rows:
        figures = summary(row)
        demand = figures["demand"]
        share = f"{100 * figures['limited'] / demand:.1f} %" if demand else "-"
        counts = [str(figures[name]) for name in ("clientErrors", "serverErrors", "noAnswer")]
        latency = [_milliseconds(figures["latency"][name]) for name in ("p50", "p99")]
        begun = _moment(row.key.start if start is None else start)
        out.add_row(begun, _name(row.key.place), str(demand), share, *counts, *latency)
    output.console().print(out)


def _moment(second: int) -> str:
    return timestamp(datetime.fromtimestamp(second, UTC))


def _name(place: Place) -> str:
    return "/".join(part for part in place[1:] if part) or "all"


def _milliseconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g} ms"


def _lines(found: Accounting) -> Object:
    kinds = ("late", "foreign", "unparsable", "unknown", "too_late", "ahead")
    counts = {name: count for name in kinds if (count := getattr(found, name))}
    return {"read": found.read, "counted": found.counted, **counts, "samples": found.samples}


WHY = {
    "foreign": "no line of an access log",
    "unparsable": "cut, or with a value of another kind",
    "unknown": "of another schema than gw/1",
    "too_late": "more than a minute out of order",
}


def _say(found: Accounting) -> None:
    typer.echo(f"{found.counted} of {found.read} lines counted", err=True)
    for name, why in WHY.items():
        if count := getattr(found, name):
            sample = found.samples[name][0].strip()[:60]
            typer.echo(f"  {count} {why}, such as: {sample}", err=True)
