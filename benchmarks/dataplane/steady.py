"""Do several gateway pods together admit exactly the limit, from one request in two seconds to a thousand a second?"""

import asyncio
import tempfile
from contextlib import AsyncExitStack
from fractions import Fraction
from pathlib import Path

from benchmarks.support.report import Figure
from benchmarks.support.route_limit import HOST, limited
from ratelimiter.shares import share
from tests.support.envoy import EnvoyUnderTest, running_envoy
from tests.support.standalone import offer

RATES = (Fraction(1, 2), Fraction(1), Fraction(10), Fraction(100), Fraction(1000))
PODS = (1, 2, 3, 8)
BURST = Fraction(1, 10)


async def run(quick: bool) -> list[Figure]:
    """Offer more than the limit to so many real Envoys, in turn; compare what they admit together with the limit."""
    rates, pods, seconds = (RATES[2:4], PODS[1:2], 4) if quick else (RATES, PODS, 20)
    figures = []
    with tempfile.TemporaryDirectory() as folder:
        async with AsyncExitStack() as stack:
            envoys: list[EnvoyUnderTest] = []
            for count in pods:
                while len(envoys) < count:
                    place = Path(folder) / str(len(envoys))
                    place.mkdir()
                    envoys.append(await stack.enter_async_context(running_envoy(place, number=len(envoys))))
                for rate in rates:
                    figures.append(await _measured(envoys, rate, seconds))
    return figures


async def _measured(envoys: list[EnvoyUnderTest], rate: Fraction, seconds: int) -> Figure:
    count = len(envoys)
    bucket = share(rate, count, BURST)
    for envoy in envoys:
        await envoy.load(limited(envoy, bucket))
    await asyncio.sleep(0.2)
    offered = float(rate) * (1.5 if rate >= 1000 else 3) + 2 * count
    load = await offer([f"{envoy.address}:8080" for envoy in envoys], offered, seconds, HOST, "/", workers=16)
    wanted, admitted = float(rate * seconds), load.answers[200]
    # A pod's bucket is full at the start; at the end it may hold a token that nobody has asked for yet.
    least, most = 0.99 * wanted - count, 1.01 * wanted + count * bucket.burst
    what = f"{float(rate):g}/s over {count} gateway pods, {seconds} s: admitted"
    return Figure(what, f"{admitted}", f"{least:.0f} to {most:.0f}", least <= admitted <= most)
