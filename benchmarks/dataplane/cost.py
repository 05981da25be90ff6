"""What the slots and the access log cost each request: CPU of a real Envoy with 0 to 64 slots, and with all slots and
the log, answering itself and proxying."""

import random
import tempfile
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from statistics import median

from benchmarks.support.report import Figure, plain
from benchmarks.support.request_cost import REQUEST, cost_of, numbered_envoy, proxied
from benchmarks.support.route_limit import POOL, with_slots
from istio_templates import names
from istio_templates.access_log.logger import access_logger
from istio_templates.facts import Bucket
from k8s_manager.standalone.translator.snapshot import Snapshot
from tests.support.envoy import EnvoyUnderTest

Setup = tuple[str, int, bool]
"""How a request is answered, how many slots it passes, and whether it is logged."""
SLOTS = (0, 8, 16, names.SLOTS, 32, 64)
MODELS = 1000
AMPLE = Bucket(1_000_000, 1, 100_000)


async def run(quick: bool) -> list[Figure]:
    """Send the same requests through each number of slots, in changing order; compare CPU time, not the clock."""
    rounds, requests = (2, 1_000) if quick else (7, 6_000)
    slots = (0, names.SLOTS) if quick else SLOTS
    taken: dict[Setup, list[float]] = {(mode, n, False): [] for mode in ("direct", "proxied") for n in slots}
    taken |= {(mode, names.SLOTS, True): [] for mode in ("direct", "proxied")}
    with tempfile.TemporaryDirectory() as folder:
        async with AsyncExitStack() as stack:
            model, gateway = [
                await stack.enter_async_context(numbered_envoy(Path(folder), number)) for number in (0, 1)
            ]
            await model.load(_gateway(model, 0, None, False))
            for _ in range(rounds):
                for mode, number, logged in random.sample(list(taken), len(taken)):
                    await gateway.load(_gateway(gateway, number, model if mode == "proxied" else None, logged))
                    taken[mode, number, logged].append(await cost_of(gateway, [REQUEST], requests))
    return [figure for mode in ("direct", "proxied") for figure in _figures(mode, slots, taken)]


def _figures(mode: str, slots: tuple[int, ...], taken: dict[Setup, list[float]]) -> list[Figure]:
    none = median(taken[mode, 0, False])
    out = [plain(f"{mode}: CPU of a request without a slot", f"{none:.1f} us")]
    for number in slots[1:]:
        each = median(taken[mode, number, False])
        what = f"{mode}: CPU of a request with {number} slots, over none"
        value = f"{each / none:.3f} ({each:.1f} us, {(each - none) / number:.2f} us a slot)"
        out.append(plain(what, value))
    plainly, logged = (median(taken[mode, names.SLOTS, is_logged]) for is_logged in (False, True))
    value = f"{logged / plainly:.3f} ({logged - plainly:.1f} us more)"
    return [*out, plain(f"{mode}: CPU of a request that is logged, over one that is not", value)]


def _gateway(envoy: EnvoyUnderTest, number: int, model: EnvoyUnderTest | None, logged: bool) -> Snapshot:
    """Return a gateway whose slots, so many, hold a thousand models; its route answers, or leads to `model`."""
    contents: list[list[tuple[str, Bucket]]] = [[] for _ in range(number)]
    for index in range(MODELS if number else 0):
        contents[index % number].append((names.identity("search", f"model-{index}"), AMPLE))
    if number:
        contents[number // 2].append((names.identity("search", "ranker"), AMPLE))
    more = access_logger(replace(POOL, access_log=True)) if logged else []
    made = with_slots(envoy, {n: tuple(inside) for n, inside in enumerate(contents)}, {"ranker": "/"}, number, more)
    return made if model is None else proxied(made, model)
