"""How long does a standalone take to serve, the first time and when it is started again?"""

import tempfile
import time
from pathlib import Path

import aiohttp

from benchmarks.support.report import Figure, at_most, plain
from tests.support.standalone import HOST, PATH, Running, standalone
from tests.support.waiting import until


async def run(_: bool) -> list[Figure]:
    """Start the demo, stop it, start it again."""
    with tempfile.TemporaryDirectory() as folder:
        first = await _first_200(Path(folder))
        again = await _first_200(Path(folder))
    return [
        plain("seconds from the command to the first 200 through Envoy, new state", f"{first:.1f} s"),
        at_most("the same, started again", again, 10, " s"),
    ]


async def _first_200(folder: Path) -> float:
    started = time.monotonic()
    async with standalone(folder, "--demo") as run:
        (first, *_) = await run.gateways()
        await until(lambda: _serves(run, first), "a 200 through Envoy")
        return time.monotonic() - started


async def _serves(run: Running, address: str) -> bool:
    try:
        async with run.session.get(f"http://{address}{PATH}", headers={"Host": HOST}) as answer:
            return answer.status == 200
    except aiohttp.ClientError:
        return False
