"""Does the simulator's bucket admit what a real Envoy admits? The same requests, at the moments they were sent."""

import asyncio
import tempfile
import time
from pathlib import Path

import aiohttp

from benchmarks.support.report import Figure
from benchmarks.support.route_limit import HOST, limited
from istio_templates.facts import Bucket
from ratelimiter.simulation.bucket import TokenBucket
from tests.support.envoy import EnvoyUnderTest, running_envoy
from tests.support.waiting import until

NANOS = 1_000_000_000
CASES = (
    ("20/s, three times that offered", Bucket(20, 1, 2), 60.0, 0.0),
    ("37 per 3 s, burst 4, twice that offered", Bucket(37, 3, 4), 25.0, 0.0),
    ("200/s, burst 20, twice that offered", Bucket(200, 1, 20), 400.0, 0.0),
    ("20/s, three times that offered, rewritten once a second", Bucket(20, 1, 2), 60.0, 1.0),
)


async def run(quick: bool) -> list[Figure]:
    """Offer each case to one Envoy; return what it admitted beside what the simulator says."""
    seconds = 4 if quick else 20
    figures = []
    with tempfile.TemporaryDirectory() as folder:
        async with running_envoy(Path(folder)) as envoy:
            for name, bucket, rate, every in CASES:
                await envoy.load(limited(envoy, bucket))
                await asyncio.sleep(0.2)
                sent, admitted, rewrites = await _offer(envoy, bucket, rate, seconds, every)
                figures.append(_compared(name, admitted, _simulated(bucket, sent, rewrites), bucket, len(rewrites)))
    return figures


def _compared(name: str, admitted: int, simulated: int, bucket: Bucket, rewrites: int) -> Figure:
    """Compare counts: within 1 %, or two requests at the ends and one for the unknown moment of each rewrite."""
    bound = max(0.01 * simulated, 2 + rewrites * min(1, bucket.burst))
    met = abs(admitted - simulated) <= bound
    return Figure(f"admitted at {name}", f"Envoy {admitted}, simulated {simulated}", f"{bound:.0f} apart at most", met)


def _simulated(bucket: Bucket, sent: list[float], rewrites: list[float]) -> int:
    begin = min(sent)
    model, waiting, admitted = TokenBucket(bucket, 0), sorted(rewrites), 0
    for moment in sorted(sent):
        while waiting and waiting[0] <= moment:
            model.rewrite(bucket, int((waiting.pop(0) - begin) * NANOS))
        admitted += model.take(int((moment - begin) * NANOS))
    return admitted


async def _offer(
    envoy: EnvoyUnderTest, bucket: Bucket, rate: float, seconds: int, every: float
) -> tuple[list[float], int, list[float]]:
    """Return when each request was sent, how many were admitted, and when the slot was rewritten."""
    started, sent, rewrites, admitted = time.monotonic(), [], [], 0
    turn = iter(range(int(rate * seconds)))

    async def work(session: aiohttp.ClientSession) -> None:
        nonlocal admitted
        for number in turn:
            await asyncio.sleep(max(0.0, started + number / rate - time.monotonic()))
            sent.append(time.monotonic())
            async with session.get(f"http://{envoy.address}:8080/", headers={"Host": HOST}) as answer:
                admitted += answer.status == 200

    async def stir() -> None:
        for number in range(int(seconds / every) - 1):
            await asyncio.sleep(max(0.0, started + (number + 1) * every - time.monotonic()))
            before = await _reloads(envoy)
            envoy.snapshot = limited(envoy, bucket, number + 1)
            envoy.ads.changed()
            await until(lambda known=before: _more(envoy, known), "the rewrite")
            rewrites.append(time.monotonic())

    async with aiohttp.ClientSession(trust_env=False) as session:
        await asyncio.gather(*(work(session) for _ in range(8)), *([stir()] if every else []))
    return sent, admitted, rewrites


async def _more(envoy: EnvoyUnderTest, known: int) -> bool:
    return await _reloads(envoy) > known


async def _reloads(envoy: EnvoyUnderTest) -> int:
    return sum((await envoy.stats("extension_config_discovery.*config_reload$")).values())
