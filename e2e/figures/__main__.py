"""`python -m e2e.figures [quick]`, inside the cluster's network: see `python -m e2e --figures`."""

import asyncio
import sys

from benchmarks.report import Figure, show
from e2e.figures import effect, isolation
from e2e.support.site import Site, site


async def main(quick: bool) -> int:
    """Measure everything; return 1 if a promise was not met."""
    async with site() as found:
        parts: list[tuple[str, list[Figure]]] = []
        for name, measure in _parts(found, quick):
            figures = await measure
            show(name, figures)
            parts.append((name, figures))
    return int(any(figure.met is False for _, figures in parts for figure in figures))


def _parts(found: Site, quick: bool):  # type: ignore[no-untyped-def]
    yield "isolation on real gateways", isolation.run(found, 6 if quick else 20)
    yield "effect, 1 model", effect.run(found, 1, 10 if quick else 100)
    if not quick:
        yield "effect, 1,000 models", effect.run(found, 1000, 100)


if __name__ == "__main__":
    sys.exit(asyncio.run(main("quick" in sys.argv[1:])))
