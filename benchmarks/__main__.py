"""Run benchmarks: python -m benchmarks all | quick | NAME ..."""

import asyncio
import sys
from collections.abc import Awaitable, Callable

from benchmarks import (
    accuracy,
    changes,
    cost,
    crowd,
    events,
    flaps,
    isolation,
    reaction,
    refills,
    scale,
    simulation,
    startup,
    steady,
    warmup,
)
from benchmarks.report import Figure, show

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
    "scale": scale.run,
    "reaction": reaction.run,
    "events": events.run,
    "startup": startup.run,
    "warmup": warmup.run,
}


async def main(words: list[str]) -> int:
    """Run what is asked for; return 1 if a promise was not met."""
    quick = words == ["quick"]
    chosen = list(ALL) if words in (["all"], ["quick"]) else words
    unknown = [name for name in chosen if name not in ALL]
    if unknown or not chosen:
        print(
            f"unknown: {', '.join(unknown) or 'nothing asked for'}; there are: all, quick, {', '.join(ALL)}",
            file=sys.stderr,
        )
        return 2
    missed = False
    for name in chosen:
        figures = await ALL[name](quick)
        show(name + (" (quick)" if quick else ""), figures)
        missed |= any(figure.met is False and (figure.count or not quick) for figure in figures)
    return int(missed)


if __name__ == "__main__":
    raise SystemExit(asyncio.run(main(sys.argv[1:])))
