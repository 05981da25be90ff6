"""Run benchmarks: python -m benchmarks all | quick [NAME ...] | NAME ...

`quick` without names runs the short forms side by side: do they all run, and do their counts hold? What they then say
of time means nothing.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable

from benchmarks.controlplane import calls, console, crowd, events, flaps, reaction, render, scale, soak, startup
from benchmarks.dataplane import (
    accuracy,
    callers,
    changes,
    cost,
    isolation,
    refills,
    simulation,
    slow_start,
    steady,
    warmup,
)
from benchmarks.statistics import autoscale, engine, external_metrics, releases, series, windows
from benchmarks.support.report import Figure, show

Benchmark = Callable[[bool], Awaitable[list[Figure]]]
ALL: dict[str, Benchmark] = {
    "accuracy": accuracy.run,
    "steady": steady.run,
    "isolation": isolation.run,
    "changes": changes.run,
    "flaps": flaps.run,
    "simulation": simulation.run,
    "refills": refills.run,
    "crowd": crowd.run,
    "cost": cost.run,
    "callers": callers.run,
    "scale": scale.run,
    "reaction": reaction.run,
    "events": events.run,
    "startup": startup.run,
    "render": render.run,
    "calls": calls.run,
    "console": console.run,
    "warmup": warmup.run,
    "slow-start": slow_start.run,
    "soak": soak.run,
    "engine": engine.run,
    "series": series.run,
    "autoscale": autoscale.run,
    "releases": releases.run,
    "external-metrics": external_metrics.run,
    "windows": windows.run,
}
LONG = ("refills", "warmup", "crowd", "slow-start", "accuracy", "reaction", "soak")
AT_ONCE = 8
LAST_LINES = 15
"""Lines of a benchmark that failed, which are shown at the end again."""


async def main(words: list[str]) -> int:
    """Run what is asked for; return 1 if a promise was not met, and say which at the end."""
    quick, names = words[:1] == ["quick"], words[1:] if words[:1] in (["quick"], ["all"]) else words
    unknown = [name for name in names if name not in ALL]
    if unknown or not words:
        print(
            f"unknown: {', '.join(unknown) or 'nothing asked for'}; there are: all, quick, {', '.join(ALL)}",
            file=sys.stderr,
        )
        return 2
    if quick and not names:
        return await _side_by_side()
    missed = []
    for name in names or ALL:
        figures = await ALL[name](quick)
        show(name + (" (quick)" if quick else ""), figures)
        missed += [(name, figure) for figure in figures if figure.met is False and (figure.count or not quick)]
    for name, figure in missed:
        print(f"not met: {name}: {figure.what}: {figure.value}, {figure.bound}", file=sys.stderr)
    return int(bool(missed))


async def _side_by_side() -> int:
    """Run every short form in a process of its own, the longest first; return 1 if one has failed."""
    free = asyncio.Semaphore(AT_ONCE)

    async def one(name: str) -> tuple[str, str, int | None]:
        async with free:
            command = [sys.executable, "-m", "benchmarks", "quick", name]
            pipe = asyncio.subprocess.PIPE
            process = await asyncio.create_subprocess_exec(*command, stdout=pipe, stderr=asyncio.subprocess.STDOUT)
            said, _ = await process.communicate()
        print(said.decode(), end="", flush=True)
        return name, said.decode(), process.returncode

    ended = await asyncio.gather(*map(one, [*LONG, *(name for name in ALL if name not in LONG)]))
    failed = {name: said for name, said, code in ended if code}
    for name, said in failed.items():
        print(f"\nfailed: {name}", *said.splitlines()[-LAST_LINES:], sep="\n", file=sys.stderr)
    return int(bool(failed))


if __name__ == "__main__":
    raise SystemExit(asyncio.run(main(sys.argv[1:])))
