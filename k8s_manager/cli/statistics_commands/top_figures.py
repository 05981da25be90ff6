"""Figures that `tidegate top` shows, of models and of the arms or versions of one."""

from enum import StrEnum
from typing import NamedTuple

from rich.table import Table
from rich.text import Text

from collectors.request_statistics.series import MINUTE
from k8s_manager.cli.output import Object


class TopBy(StrEnum):
    """What tells the requests of one model apart."""

    ARM = "arm"
    VERSION = "version"


class TopPage(NamedTuple):
    """Lines in the order in which they are shown, and why some of their requests may be missing."""

    items: list[Object]
    gaps: list[str]


def rates(counts: Object) -> Object:
    """Return the rates per second over the minute, shares, and milliseconds of some counts, perhaps of none."""
    demand, limited, admitted = (counts.get(figure, 0) for figure in ("demand", "limited", "admitted"))
    errors = counts.get("serverErrors", 0) + counts.get("noAnswer", 0)
    return {
        "demand": round(demand / MINUTE, 2),
        "limited": round(limited / demand, 4) if demand else 0.0,
        "errors": round(errors / admitted, 4) if admitted else 0.0,
        "p99": counts["latency"]["p99"] if counts else None,
    }


def shown(rate: Object) -> list[str]:
    """Return rates as cells: demand, what the limit refused, errors, latency."""
    latency = "-" if rate["p99"] is None else f"{rate['p99']:.3g} ms"
    return [f"{rate['demand']:.1f}", f"{100 * rate['limited']:.1f} %", f"{100 * rate['errors']:.1f} %", latency]


def parts_table(items: list[Object], by: TopBy) -> Table:
    """Return the table of a model's arms or versions."""
    table = Table(box=None, pad_edge=False)
    table.add_column(by.value.upper(), overflow="fold")
    for name in ("DEMAND/S", "LIMITED", "ERRORS", "P99"):
        table.add_column(name, justify="right", no_wrap=True)
    for item in items:
        table.add_row(*map(Text, (item[by.value], *shown(item))))
    return table
