"""How a benchmark says what it found."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured figure. `met` None: shown for information, nothing is promised of it.

    A `count` holds on any machine and decides the exit code of every run; other figures only that of a full one.
    A count of what time brings about (writes that a late event costs) is none: a busy machine makes events late.
    """

    what: str
    value: str
    bound: str = ""
    met: bool | None = None
    count: bool = False


def at_most(what: str, value: float, bound: float, unit: str = "", count: bool = False) -> Figure:
    """Return a figure that must not exceed a bound."""
    return Figure(what, f"{value:.4g}{unit}", f"at most {bound:g}{unit}", value <= bound, count)


def within(what: str, value: float, wanted: float, per_cent: float, unit: str = "") -> Figure:
    """Return a figure that must lie within so many per cent of another."""
    off = (value / wanted - 1) * 100
    return Figure(
        what, f"{value:.4g}{unit} ({off:+.2f} %)", f"{wanted:g}{unit} within {per_cent:g} %", abs(off) <= per_cent
    )


def plain(what: str, value: str) -> Figure:
    """Return a figure for information."""
    return Figure(what, value)


def median(values: Sequence[float]) -> float:
    """Return the median."""
    return statistics.median(values)


def show(name: str, figures: Sequence[Figure]) -> None:
    """Print a benchmark's figures."""
    print(f"\n{name}")
    for figure in figures:
        mark = {None: "      ", True: "met   ", False: "MISSED"}[figure.met]
        bound = f"   [{figure.bound}]" if figure.bound else ""
        print(f"  {mark}  {figure.what}: {figure.value}{bound}", flush=True)
