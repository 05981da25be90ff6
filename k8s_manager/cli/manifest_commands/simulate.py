"""`tidegate simulate`: what a limit would do to a traffic trace, before a caller feels it."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import Progress
from rich.table import Table

from istio_templates.documents import load
from istio_templates.documents.fields import exact
from istio_templates.errors import Invalid, Problem
from k8s_manager.cli import output
from k8s_manager.cli.output import FORMS, Format, plain_form_of
from ratelimiter.simulation import scenario as scenarios
from ratelimiter.simulation import trace as traces
from ratelimiter.simulation.outcome import SimulationOutcome
from ratelimiter.simulation.picture import picture
from ratelimiter.simulation.run import simulate as simulated
from ratelimiter.simulation.scenario import Scenario
from ratelimiter.simulation.trace import Shape, Trace

Object = dict[str, Any]
Bounds = Annotated[
    str | None,
    typer.Option(metavar="MIN-MAX", help="Let the replicas follow the demand between these, from --replicas on."),
]
WarmUp = Annotated[
    str | None, typer.Option(metavar="TIME", help="How long a new replica warms up (30s), with --autoscale.")
]


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(simulate)


def simulate(
    trace: Annotated[
        str | None,
        typer.Option(
            metavar="FILE", help="Traffic: CSV with columns time (s) and requests, or JSON lines; - for stdin."
        ),
    ] = None,
    generate: Annotated[
        Shape | None, typer.Option(help="Traffic of this shape instead of a file; see --rate, --peak, --seconds.")
    ] = None,
    rate: Annotated[float, typer.Option(min=0.01, help="Generated requests/s.")] = 40,
    peak: Annotated[float | None, typer.Option(min=0.01, help="Generated requests/s at the peak (3 x rate).")] = None,
    seconds: Annotated[int, typer.Option(min=10, max=864_000, help="How long to generate.")] = 120,
    replicas: Annotated[
        str | None, typer.Option(metavar="N", help="Warm replicas; or a timeline such as 4,30s=2,60s=6.")
    ] = None,
    gateways: Annotated[
        str | None, typer.Option(metavar="G", help="Gateway pods (2), or a timeline such as 2,60s=3.")
    ] = None,
    per_replica_qps: Annotated[float | None, typer.Option(help="Requests/s that one replica can serve.")] = None,
    autoscale: Bounds = None,
    warm_up: WarmUp = None,
    burst: Annotated[str | None, typer.Option(help="How much may come at once, such as 100ms of the rate.")] = None,
    settings: Annotated[
        Path | None,
        typer.Option(
            help="A YAML file with the rest: rateLimit (as in a Model), replicas, gateways, connectionSkew, "
            "slotRewrites, timeToEffect, scaling; options given here go before it."
        ),
    ] = None,
    picture_file: Annotated[
        Path | None, typer.Option("--picture", metavar="FILE.svg", help="Write a picture too.")
    ] = None,
    form: Annotated[
        Format, typer.Option("-o", "--output", parser=plain_form_of, metavar=FORMS, help="How to show it.")
    ] = Format.TABLE,
) -> None:
    """Try a limit against traffic: what is admitted and refused, what refills add, how long changes take.

    Nothing is asked and nothing is written: shares, debounce and ticks come from the manager's own functions, and the
    buckets behave as Envoy's do.

    With --autoscale the whole loop runs: demand moves replicas, and when they are warm the limit. scaling in --settings
    has the rest of it; with autoscaler: hpa it is Kubernetes' own on CPU, which does not see what is refused.

    tidegate simulate --generate bursts --rate 60 --replicas 2,60s=4 --gateways 2 --per-replica-qps 40
    tidegate simulate --generate steps --rate 30 --seconds 1200 --replicas 2 --per-replica-qps 20 --autoscale 2-20
    """  # fmt: skip
    traffic = _trace(trace, generate, rate, peak, seconds)
    found = _scenario(settings, replicas, gateways, per_replica_qps, burst, _scaling(autoscale, warm_up))
    with Progress(transient=True, disable=not sys.stderr.isatty(), console=output.errors()) as bar:
        task = bar.add_task("simulating", total=1.0)
        outcome = simulated(found, traffic, lambda done: bar.update(task, completed=done))
    if picture_file:
        _draw(picture_file, picture(outcome.series.rows(), f"{trace or generate}: what the limit would have done"))
    if form is Format.TABLE:
        _table(outcome)
    else:
        output.show({**outcome.figures(), "series": outcome.series.rows()}, form)


def _draw(file: Path, drawing: str) -> None:
    try:
        file.write_text(drawing)
    except OSError as error:
        raise Invalid(str(file), [Problem("", f"cannot be written ({error}); give a folder that is there")]) from error


def _trace(file: str | None, shape: Shape | None, rate: float, peak: float | None, seconds: int) -> Trace:
    if (file is None) == (shape is None):
        raise typer.BadParameter("give exactly one of --trace and --generate")
    if shape is not None:
        return traces.generated(shape, exact(rate), exact(3 * rate if peak is None else peak), seconds)
    assert file is not None
    return traces.read(_text(file), file)


def _text(file: str) -> str:
    try:
        return sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise Invalid(file, [Problem("", f"cannot be read ({error}); give a text file that is there")]) from error


def _scaling(bounds: str | None, warm_up: str | None) -> Object:
    """Return what options say of the autoscaler."""
    found: Object = {} if warm_up is None else {"warmUp": warm_up}
    if bounds is not None:
        least, _, most = bounds.partition("-")
        if not (least.isdecimal() and most.isdecimal()):
            raise typer.BadParameter(f"--autoscale {bounds!r} is no pair of numbers of replicas; write 2-20")
        found["autoscale"] = {"min": int(least), "max": int(most)}
    return found


def _scenario(
    settings: Path | None,
    replicas: str | None,
    gateways: str | None,
    per_replica: float | None,
    burst: str | None,
    scaling: Object,
) -> Scenario:
    found = load(_text(str(settings)), str(settings)) if settings else []
    raw: Object = {"gateways": 2, **(found[0] if found else {})}
    limit = raw.get("rateLimit") or {}
    given = {"perReplicaQps": per_replica, "burst": burst}
    if isinstance(limit, dict):
        raw["rateLimit"] = {**limit, **{name: value for name, value in given.items() if value is not None}}
    raw |= {} if replicas is None else {"replicas": timeline(replicas)}
    raw |= {"scaling": {**(raw.get("scaling") or {}), **scaling}} if scaling else {}
    raw |= {} if gateways is None else {"gateways": timeline(gateways)}
    return scenarios.read(raw, str(settings) if settings else "simulation")


def timeline(text: str) -> list[Object]:
    """Return the moments in `4,30s=2`: four from the beginning, two from 30 s on."""
    out = []
    for part in text.split(","):
        at, _, count = part.strip().rpartition("=")
        if not (count.isascii() and count.isdigit()):
            raise typer.BadParameter(f"{part!r} is no number of replicas or pods; write 4, or 4,30s=2 for a timeline")
        out.append({"at": at or "0s", "count": int(count)})
    return out


def _table(outcome: SimulationOutcome) -> None:
    figures = outcome.figures()
    over, took, changes = figures["overAdmission"], figures["timeToConverge"], figures["changes"]
    share = 100 * figures["admitted"] / figures["offered"]
    refills = f"{over['percent']:g} %, by {figures['rewrites']} refills, which admit {over['atMost']} at most"
    rows = [
        ("offered", f"{figures['offered']}", ""),
        ("admitted", f"{figures['admitted']}", f"{share:.1f} % of what was offered"),
        ("refused", f"{figures['refused']}", f"{figures['closed']} of them while the model was closed (503)"),
        ("over-admission", f"{over['byRefills']}", refills),
        ("warm replicas", _range(figures["replicas"]), f"{figures['replicas']['atEnd']} at the end"),
        ("limit at the end", f"{figures['limitAtEnd']:g}/s", "over all gateway pods"),
        ("changes of the limit", f"{changes['wanted']}", f"{changes['enforced']} enforced"),
        ("time to converge", _seconds(took["median"]), f"median; the longest {_seconds(took['longest'])}"),
        ("slot writes", f"{figures['writes']}", ""),
    ]  # fmt: skip
    out = Table(box=None, pad_edge=False, show_header=False)
    for row in rows:
        out.add_row(*row)
    output.console().print(out)


def _range(found: dict[str, int]) -> str:
    least, most = found["least"], found["most"]
    return f"{least}" if least == most else f"{least} to {most}"


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:g} s"
