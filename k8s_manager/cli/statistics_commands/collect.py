"""`tidegate collect`: what the access logs of gateways say of requests."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from math import inf
from pathlib import Path
from typing import IO, Annotated, Any

import typer
import uvloop
from rich.progress import Progress
from rich.table import Table
from rich.text import Text

from collectors.access_log.engine import Engine
from collectors.access_log.line_counts import LineCounts
from collectors.access_log.rows import WINDOW, RowPlace, StatsRow
from collectors.access_log.text_lines import batches
from collectors.access_log.windows import OFFLINE
from collectors.request_statistics.row_query import without_arms
from collectors.request_statistics.series import in_steps
from collectors.request_statistics.summary import summary
from istio_templates.arms.arm_facts import WEIGHTS
from istio_templates.errors import Invalid, Problem
from k8s_manager.cli import output
from k8s_manager.cli.option_groups import grouped
from k8s_manager.cli.output import FORMS, Format, plain_form_of
from k8s_manager.cli.server_commands.free_port import require_free
from k8s_manager.cli.server_commands.serve import address
from k8s_manager.cli.statistics_commands.pod_options import PodOptions
from k8s_manager.cli.statistics_commands.time_options import span_of
from k8s_manager.collector.settings import CollectorSettings
from k8s_manager.runtime.timestamp import timestamp_at

Object = dict[str, Any]
STDIN = "-"


class Level(StrEnum):
    """How finely requests are distinguished."""

    PLATFORM = "platform"
    GATEWAY = "gateway"
    TENANT = "tenant"
    MODEL = "model"
    VERSION = "version"
    ARM = "arm"

    @property
    def of_rows(self) -> str:
        """The level of the rows that tell requests so far apart."""
        return Level.VERSION.value if self is Level.ARM else self.value


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(grouped(collect))


def collect(
    pods: PodOptions,
    files: Annotated[
        list[str] | None,
        typer.Argument(metavar="FILE...", help="Access logs of gateway pods, a file for each pod; - for stdin."),
    ] = None,
    level: Annotated[Level, typer.Option(help="How finely requests are distinguished.")] = Level.MODEL,
    tenant: Annotated[str | None, typer.Option(metavar="NAME", help="Of this tenant only.")] = None,
    model: Annotated[str | None, typer.Option(metavar="NAME", help="Of this model only.")] = None,
    step: Annotated[
        str, typer.Option(metavar="TIME", help="Add up this long, in tens of seconds (10s, 5m, 1h); 0s: everything.")
    ] = "0s",
    form: Annotated[
        Format, typer.Option("-o", "--output", parser=plain_form_of, metavar=FORMS, help="How to show it.")
    ] = Format.TABLE,
) -> None:
    """Say what became of the requests in access logs: demand, what the limit refused, errors, latency.

    The lines are those that gateways write (docs/access-log.md), as `kubectl logs` shows them or as they lie on a node.
    Of files nothing is asked of a cluster. With --pods the logs of all gateway pods that write one are followed.

    kubectl logs -n inference-gw gateway-0 | tidegate collect - --step 1m

    tidegate collect --pods --kubeconfig ~/.kube/config

    Each with a --help of its own: `tidegate collect kafka` reads lines from a topic, `tidegate collect remote-write`
    takes what Prometheus sends, `tidegate collect flink-sql` and `tidegate collect shipper` print what others run.
    """  # fmt: skip
    if pods.pods == bool(files):
        raise typer.BadParameter("give files to read, - for stdin, or --pods")
    _require_used(
        pods, {"--level": level is not Level.MODEL, "--tenant": tenant, "--model": model, "--step": step != "0s"}
    )
    if pods.pods:
        _follow(pods)
        return
    span = _step(step)
    _require_in(level, tenant, model)
    engine = Engine(lateness=OFFLINE)
    rows = (row for file in dict.fromkeys(files or ()) for row in _rows(engine, file))
    wanted = (row for row in rows if _is_wanted(row.key.place, level.of_rows, tenant, model))
    found = in_steps(wanted if level is Level.ARM else without_arms(wanted), span)
    if form is Format.TABLE:
        _table(found, level)
        _say(engine.counts)
    else:
        items = [_item(row, level) for row in found]
        output.show({"step": span or None, "items": items, "lines": _lines(engine.counts)}, form)


def _require_used(pods: PodOptions, of_files: dict[str, object]) -> None:
    """Raise `BadParameter` for options that what is read has no use for."""
    if pods.pods and (odd := [name for name, given in of_files.items() if given]):
        raise typer.BadParameter(f"{', '.join(odd)}: only for files; with --pods managers say what they ask for")
    if not pods.pods and (odd := pods.given()):
        raise typer.BadParameter(f"{', '.join(odd)}: only with --pods; files are read without a cluster")


def _require_in(level: Level, tenant: str | None, model: str | None) -> None:
    """Raise `BadParameter` where a level does not tell apart what is asked for."""
    if model is not None and level not in (Level.MODEL, Level.VERSION, Level.ARM):
        raise typer.BadParameter(f"--model needs --level model, version or arm; {level} tells no models apart")
    if tenant is not None and level in (Level.PLATFORM, Level.GATEWAY):
        raise typer.BadParameter(
            f"--tenant needs --level tenant, model, version or arm; {level} tells no tenants apart"
        )


def _follow(pods: PodOptions) -> None:
    from k8s_manager.collector.process import run
    from k8s_manager.collector.sinks.sink_address import credentials_of

    sinks = tuple(pods.sink or ())
    credentials = credentials_of(sinks, pods.sink_credentials or ())
    listen = address(pods.listen)
    require_free(*listen)
    settings = CollectorSettings(
        kubeconfig=pods.kubeconfig,
        listen=listen,
        namespace=pods.share,
        token_file=pods.token_file,
        token_review=pods.token_review,
        readers=tuple(f"kubernetes:{name}" for name in pods.reader or ()),
        sinks=sinks,
        sink_credentials=credentials,
        traces_url=pods.traces,
    )
    uvloop.run(run(settings))


def _step(text: str) -> int:
    span = span_of("--step", text, "10s, 5m or 1h")
    if span < 0 or span % WINDOW or span == inf:
        raise typer.BadParameter(f"--step {text} is no multiple of {WINDOW} s, the length of a window")
    return int(span)


def _rows(engine: Engine, file: str) -> Iterator[StatsRow]:
    try:
        with _opened(file) as stream:
            for batch in batches(stream):
                yield from engine.feed(file, batch, time.time())
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


def _is_wanted(place: RowPlace, level: str, tenant: str | None, model: str | None) -> bool:
    return place.level == level and tenant in (None, place.tenant) and model in (None, place.model)


def _named(place: RowPlace, level: Level) -> Object:
    """Return the names that a place has at a level."""
    found = {name: value for name, value in place._asdict().items() if value and name != "level"}
    return found | ({"arm": place.arm or WEIGHTS} if level is Level.ARM else {})


def _item(row: StatsRow, level: Level) -> Object:
    place = _named(row.key.place, level)
    return {"start": timestamp_at(row.key.start), **place, **summary(row)}


def _table(rows: list[StatsRow], level: Level) -> None:
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
        latency = [_shown(figures["latency"][name]) for name in ("p50", "p99")]
        cells = [timestamp_at(row.key.start), _name(row.key.place, level), str(demand), share, *counts, *latency]
        out.add_row(*map(Text, cells))
    output.console().print(out)


def _name(place: RowPlace, level: Level) -> str:
    return "/".join(_named(place, level).values()) or "all"


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g} ms"


def _lines(found: LineCounts) -> Object:
    kinds = ("late", "foreign", "unparsable", "unknown", "too_late", "ahead")
    counts = {name: count for name in kinds if (count := getattr(found, name))}
    return {"read": found.read, "counted": found.counted, **counts, "samples": found.samples}


WHY = {
    "foreign": "no line of an access log",
    "unparsable": "cut, or with a value of another kind",
    "unknown": "of another schema than gw/1",
    "too_late": "more than an hour out of order",
    "ahead": "of a moment to come",
}


def _say(found: LineCounts) -> None:
    typer.echo(f"{found.counted} of {found.read} lines counted", err=True)
    for name, why in WHY.items():
        if count := getattr(found, name):
            sample = "".join(letter if letter.isprintable() else "?" for letter in found.samples[name][0].strip()[:60])
            typer.echo(f"  {count} {why}, such as: {sample}", err=True)
