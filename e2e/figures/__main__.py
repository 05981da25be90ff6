"""`python -m e2e.figures [quick] [NAME ...]`, inside the cluster's network: see `python -m e2e --figures`."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from functools import partial

from benchmarks.support.report import Figure, show
from e2e.figures import closing, effect, first, isolation, istiod_away, lossless, refusals
from e2e.support.site import Site, site

Measure = Callable[[Site], Awaitable[list[Figure]]]


async def main(words: list[str]) -> int:
    """Measure everything, or what is named; return 1 if a promise was not met."""
    quick, names = "quick" in words, [word for word in words if word != "quick"]
    known = _parts(quick)
    if unknown := [name for name in names if name not in known]:
        print(f"unknown: {', '.join(unknown)}; there are: {', '.join(known)}", file=sys.stderr)
        return 2
    missed = False
    async with site() as found:
        for name in names or known:
            figures = await known[name](found)
            show(name, figures)
            missed |= any(figure.met is False for figure in figures)
    return int(missed)


def _parts(quick: bool) -> dict[str, Measure]:
    parts: dict[str, Measure] = {
        "isolation": partial(isolation.run, seconds=6 if quick else 20),
        "effect-1": partial(effect.run, models=1, changes=10 if quick else 100),
        "first": partial(first.run, replicas=4 if quick else 20),
        "lossless": partial(lossless.run, requests=5_000 if quick else 100_000),
        "refusals": partial(refusals.run, steps=1 if quick else 5),
        "closing": partial(closing.run, rounds=2 if quick else 10),
        "istiod-away": partial(istiod_away.run, seconds=60 if quick else 600),
    }
    return parts if quick else {**parts, "effect-1000": partial(effect.run, models=1000, changes=100)}


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1:])))
