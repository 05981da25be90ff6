"""A thousand changes of limits and routes under traffic: does any client notice?"""

import asyncio
import tempfile
from pathlib import Path

from benchmarks.dataplane.isolation import _counters, _prepare, _sharing
from benchmarks.support.report import Figure, at_most, plain
from tests.support.standalone import offer, standalone

MODELS = 40


async def run(quick: bool) -> list[Figure]:
    """Change limits and routes of forty models while requests go to a model that shares slots and port with them."""
    number = 100 if quick else 1000
    with tempfile.TemporaryDirectory() as folder:
        async with standalone(Path(folder)) as run:
            addresses = await _prepare(run)
            names = [f"other-{number}" for number in range(MODELS)]
            for name in names:
                await run.put(f"/v1/tenants/search/models/{name}", _sharing(name))
            await asyncio.sleep(2)
            before = await _counters(run, addresses)
            rounds = number // (2 * MODELS) + 1
            seconds = rounds * 3 + 4
            loading = asyncio.create_task(offer(addresses, 100, seconds, workers=8))
            await asyncio.sleep(1)
            changes = 0
            for turn in range(rounds):
                started = asyncio.get_running_loop().time()
                for name in names:
                    # A document with another limit and another timeout: a change of its slot and one of its route.
                    await run.put(
                        f"/v1/tenants/search/models/{name}", _sharing(name, 20 + turn % 9 + 1, f"{20 + turn % 5}s")
                    )
                    changes += 2
                await asyncio.sleep(max(0.0, started + 2.5 - asyncio.get_running_loop().time()))
            load = await loading
            told = await _counters(run, addresses) - before
            drained = [
                await run.stats(
                    address,
                    "listener_manager.(listener_modified|listener_in_place_updated|total_filter_chains_draining)",
                )
                for address in addresses
            ]
    other = sum(load.answers.values()) - load.answers[200] - load.answers[429]
    return [
        plain("changes of limits and routes", str(changes)),
        plain("requests meanwhile", str(sum(load.answers.values()))),
        at_most("answers but 200 and 429", other + len(load.errors), 0, count=True),
        at_most(
            "connections opened beyond one for each worker and gateway pod",
            max(0, load.connections - 8 * len(addresses)),
            0,
            count=True,
        ),
        at_most("connections closed by the server", load.closed_by_server, 0, count=True),
        at_most("listeners modified or drained", sum(sum(counts.values()) for counts in drained), 0, count=True),
        Figure("RDS updates that arrived, both Envoys", str(told["rds"]), "more than none", told["rds"] > 0, True),
        Figure(
            "ECDS updates that arrived, both Envoys",
            str(told["ecds"]),
            f"at least {rounds * 2}",
            told["ecds"] >= rounds * 2,
            True,
        ),
    ]
