"""R7: requests through real Envoys while documents change, the API server fails and the manager is killed."""

import asyncio
import contextlib
import random
import tempfile
import time
from collections.abc import Iterable
from functools import partial
from pathlib import Path

import yaml

from k8s_manager.kube.config import connect
from tests.faults.proxy import FaultyProxy, faulty_proxy
from tests.faults.request_script import COMES, MOST_REPLICAS, RATES, STRANGER, TIGHT, TIGHTEST, Script
from tests.faults.verdict import Verdict
from tests.support.fleet import Hands
from tests.support.standalone import HOST, PATH, Load, Running, manager_process, offer, standalone
from tests.support.waiting import until

NAME, AT_LEAST = "R7", 10
TITLE = (
    "10,000 requests through real Envoys during 100 changes, calls failing and managers killed: no unexpected answer"
)
CHANGES, SECONDS = 100, 40.0
SHARE = 0.1
"""Share of the manager's calls that go wrong."""
LIVES = (6.0, 14.0)
"""Seconds between two deaths of the manager."""
EXPECTED = {
    "ranker": {200},
    "tight": {200, 429},
    "comes": {200, 404},
    "stranger": {404},
}
"""What a caller of each model may be answered, whatever goes wrong behind the gateway."""


def plans(scenes: Iterable[str] = ()) -> list[str]:
    """Return one plan for each seed."""
    return [f"{NAME}/seed:{seed}" for seed in range(AT_LEAST)]


def sample(chance: random.Random) -> list[str]:
    """Return one short plan."""
    return [f"{NAME}/short:{chance.randrange(1_000_000)}"]


def run(plan: str) -> Verdict:
    """Return what came of a plan."""
    kind, _, seed = plan.rpartition("/")[2].partition(":")
    part = 1.0 if kind == "seed" else 0.25
    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(_played(Path(folder), random.Random(int(seed)), part))


async def _played(folder: Path, chance: random.Random, part: float) -> Verdict:
    async with (
        standalone(folder, "--without-manager") as run,
        await connect(folder / "kubeconfig") as people,
        faulty_proxy(run.kubernetes_server, chance) as proxy,
    ):
        kubeconfig, script = _pointed(folder, proxy), Script(Hands(people), chance)
        async with manager_process(folder, kubeconfig=kubeconfig):
            await until(run.rest.up, "the manager's API")
            await script.begin()
            addresses = await run.gateways()
            await script.enforced(run)
            for path in (PATH, TIGHT):
                await until(partial(run.serves, addresses, path), f"every gateway pod serving {path}")
        return await _under_faults(run, script, proxy, kubeconfig, addresses, part)


async def _under_faults(
    run: Running, script: Script, proxy: FaultyProxy, kubeconfig: Path, addresses: list[str], part: float
) -> Verdict:
    seconds, changes = SECONDS * part, int(CHANGES * part)
    proxy.share = SHARE
    ended_alone: list[str] = []
    managing = asyncio.create_task(_managed(run.folder, kubeconfig, script.chance, ended_alone))
    await until(lambda: proxy.faults, "the first call that goes wrong")
    ways = {"ranker": (HOST, PATH), "tight": (HOST, TIGHT), "comes": (HOST, COMES), "stranger": (STRANGER, PATH)}
    loads = {name: asyncio.create_task(offer(addresses, RATES[name], seconds, *way)) for name, way in ways.items()}
    for _ in range(changes):
        await script.change()
        await asyncio.sleep(seconds / changes * 0.9)
    found = {name: await load for name, load in loads.items()}
    managing.cancel()
    await asyncio.gather(managing, return_exceptions=True)
    faults, proxy.share = sum(proxy.faults.values()), 0.0
    ended = time.monotonic()
    problems = [*_problems(found, script, seconds), *ended_alone]
    async with manager_process(run.folder, kubeconfig=kubeconfig):
        await until(run.rest.up, "the manager's API")
        try:
            await script.enforced(run)
        except AssertionError as error:
            problems.append(f"after the faults: {error}")
    asked = sum(sum(load.answers.values()) for load in found.values())
    figures = {"requests of a plan": asked, "calls that went wrong": faults}
    return Verdict(tuple(problems), {**figures, "seconds to the end state": time.monotonic() - ended})


def _problems(found: dict[str, Load], script: Script, seconds: float) -> Iterable[str]:
    for name, load in found.items():
        if odd := {status: count for status, count in load.answers.items() if status not in EXPECTED[name]}:
            yield f"{name}: unexpected answers {odd} of {dict(load.answers)}; changes before: {script.done[-10:]}"
        if load.errors:
            yield f"{name}: {len(load.errors)} requests failed, such as {load.errors[:3]}"
    admitted, most = found["tight"].answers[200], TIGHTEST * MOST_REPLICAS * (seconds + 2)
    if admitted > most:
        yield f"tight: {admitted} requests were admitted, and no limit of it allows more than {most:.0f}"


async def _managed(folder: Path, kubeconfig: Path, chance: random.Random, ended_alone: list[str]) -> None:
    """Kill the manager again and again, and start the next one; note those that ended by themselves."""
    while True:
        async with manager_process(folder, kubeconfig=kubeconfig) as process:
            await asyncio.sleep(chance.uniform(*LIVES))
            if process.returncode is not None:
                ended_alone.append(f"a manager ended by itself with {process.returncode}; see logs/serve.log")
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()


def _pointed(folder: Path, proxy: FaultyProxy) -> Path:
    """Write a kubeconfig that leads to a proxy."""
    found = yaml.safe_load((folder / "kubeconfig").read_text())
    found["clusters"][0]["cluster"] = {"server": proxy.address}
    path = folder / "kubeconfig.proxy"
    path.write_text(yaml.safe_dump(found))
    return path
