"""How long inputs hold the event loop: every endpoint with floods of 1 MiB, beside a quiet run. Prints a table.

python -m tests.faults.cost [BYTES]
"""

import asyncio
import gc
import json
import resource
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

from k8s_manager.manager import settle
from scripts.generate import openapi
from tests.faults.cost_inputs import DOCUMENTS, bodies, endpoints, fields, flooded, floods
from tests.features.conftest import make_search
from tests.support.fleet import running_fleet

NAMES = {"tenant": "search", "model": "ranker", "version": "v1"}
THERE = {"models": "ranker", "tenants": "search", "gateways": "shared", "overrides": "night", "grants": "sre"}
BEAT = 0.001
LIMIT = 2**20


class Heartbeat:
    """The longest time, in seconds, for which the event loop did nothing else, and the longest collection of garbage:
    that stops the loop too, and looks through what this process holds as a client."""

    def __init__(self) -> None:
        self.longest = self.collection = 0.0
        self._began = 0.0

    def note(self, phase: str, _info: dict[str, int]) -> None:
        """Note that a collection begins or ends (`gc.callbacks`)."""
        if phase == "start":
            self._began = time.perf_counter()
        else:
            self.collection = max(self.collection, time.perf_counter() - self._began)

    async def run(self) -> None:
        """Note how late each beat is, until cancelled."""
        while True:
            due = time.perf_counter() + BEAT
            await asyncio.sleep(BEAT)
            self.longest = max(self.longest, time.perf_counter() - due)

    def take(self) -> tuple[float, float]:
        """Return both since the last call."""
        found = self.longest, self.collection
        self.longest = self.collection = 0.0
        return found


def named(path: str) -> str:
    """Return the name of the document that a path is about."""
    return next((name for kind, name in THERE.items() if f"/{kind}/{{name}}" in path), "any")


@asynccontextmanager
async def beating() -> AsyncIterator[Heartbeat]:
    """Beat until the block ends."""
    beat = Heartbeat()
    task = asyncio.create_task(beat.run())
    gc.callbacks.append(beat.note)
    yield beat
    gc.callbacks.remove(beat.note)
    task.cancel()


def write(line: str) -> None:
    """Show a line of the table at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def inputs(size: int, step: int) -> Iterator[tuple[str, str, str]]:
    """Yield floods as bodies: of the whole, and of every `step`-th field of each document."""
    yield from bodies(size)
    for kind in DOCUMENTS:
        for number, path in enumerate(fields(kind)):
            if number % step == 0:
                flood = list(floods(size * 4 // 5))[number // step % 8]
                name = f"{kind}.{'.'.join(path[1:])}: {flood.name}"
                yield name, "application/json", json.dumps(flooded(kind, path, flood.value))


async def main(size: int) -> None:
    """Measure, and print one line for each endpoint."""
    async with running_fleet() as fleet, fleet.manager() as manager, fleet.rest(manager) as rest, beating() as beat:
        await fleet.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "inference-gw"}})
        await make_search(fleet)
        await settle(manager.store)  # as `tidegate serve` does, when it has read everything
        await asyncio.sleep(1)
        beat.take()
        await asyncio.sleep(3)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        write(f"| quiet | | {_shown(beat.take())} |")
        for method, path in endpoints(openapi()):
            place = path.replace("{host}", "a.example.com")
            for part in ("tenant", "name", "model", "version"):
                place = place.replace(f"{{{part}}}", NAMES.get(part) or named(path))
            worst, which, codes = (0.0, 0.0), "", set[int]()
            made = inputs(size, 5 if method == "POST" else 40)
            while (one := await asyncio.to_thread(next, made, None)) is not None:
                name, content, text = one
                raw = text.encode()
                if len(raw) > LIMIT:
                    continue
                await asyncio.sleep(0.005)
                beat.take()
                status, _ = await rest.call(method, place, raw, {"Content-Type": content, "If-Match": "*"})
                codes.add(status)
                held = beat.take()
                if held > worst:
                    worst, which = held, name
            write(f"| {method} {path} | {which} | {_shown(worst)} | {sorted(codes)} |")
        write(f"| memory, most | | {(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024} MiB more |")


def _shown(found: tuple[float, float]) -> str:
    return f"{found[0] * 1000:.0f} ms, of which a collection {found[1] * 1000:.0f} ms"


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 900_000))
