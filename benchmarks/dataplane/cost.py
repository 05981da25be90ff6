"""What the slots and the access log cost each request: CPU of a real Envoy with 0 to 64 slots, and with all slots and
the log, answering itself and proxying."""

import asyncio
import random
import tempfile
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import replace
from pathlib import Path
from statistics import median

from benchmarks.support.report import Figure, plain
from benchmarks.support.route_limit import HOST, POOL, with_slots
from istio_templates import names
from istio_templates.access_log.logger import access_logger
from istio_templates.facts import Bucket
from k8s_manager.standalone.translator.snapshot import CLUSTER, ROUTE, Snapshot
from tests.support.envoy import EnvoyUnderTest, running_envoy

Setup = tuple[str, int, bool]
"""How a request is answered, how many slots it passes, and whether it is logged."""
SLOTS = (0, 8, 16, names.SLOTS, 32, 64)
MODELS = 1000
AMPLE = Bucket(1_000_000, 1, 100_000)
CONNECTIONS = 4
REQUEST = f"GET / HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode()
NANOS = 1_000_000_000


async def run(quick: bool) -> list[Figure]:
    """Send the same requests through each number of slots, in changing order; compare CPU time, not the clock."""
    rounds, requests = (2, 1_000) if quick else (7, 6_000)
    slots = (0, names.SLOTS) if quick else SLOTS
    taken: dict[Setup, list[float]] = {(mode, n, False): [] for mode in ("direct", "proxied") for n in slots}
    taken |= {(mode, names.SLOTS, True): [] for mode in ("direct", "proxied")}
    with tempfile.TemporaryDirectory() as folder:
        async with AsyncExitStack() as stack:
            model, gateway = [await stack.enter_async_context(_envoy(Path(folder), number)) for number in (0, 1)]
            await model.load(_gateway(model, 0, None, False))
            for _ in range(rounds):
                for mode, number, logged in random.sample(list(taken), len(taken)):
                    await gateway.load(_gateway(gateway, number, model if mode == "proxied" else None, logged))
                    await _send(gateway.address, requests // 10)
                    before = _cpu(gateway.pid)
                    await _send(gateway.address, requests)
                    taken[mode, number, logged].append((_cpu(gateway.pid) - before) / requests * 1e6)
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


def _envoy(folder: Path, number: int) -> AbstractAsyncContextManager[EnvoyUnderTest]:
    place = folder / str(number)
    place.mkdir()
    return running_envoy(place, number=number)


def _cpu(pid: int) -> float:
    """Return the CPU seconds that all threads of a process have had."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / NANOS


async def _send(address: str, requests: int) -> None:
    """Send requests one after another over a few connections, and read every answer."""

    async def work() -> None:
        reader, writer = await asyncio.open_connection(address, 8080)
        for _ in range(requests // CONNECTIONS):
            writer.write(REQUEST)
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200"), head
        writer.close()

    await asyncio.gather(*(work() for _ in range(CONNECTIONS)))


def _gateway(envoy: EnvoyUnderTest, number: int, model: EnvoyUnderTest | None, logged: bool) -> Snapshot:
    """Return a gateway whose slots, so many, hold a thousand models; its route answers, or leads to `model`."""
    contents: list[list[tuple[str, Bucket]]] = [[] for _ in range(number)]
    for index in range(MODELS if number else 0):
        contents[index % number].append((names.identity("search", f"model-{index}"), AMPLE))
    if number:
        contents[number // 2].append((names.identity("search", "ranker"), AMPLE))
    more = access_logger(replace(POOL, access_log=True)) if logged else []
    made = with_slots(envoy, {n: tuple(inside) for n, inside in enumerate(contents)}, {"ranker": "/"}, number, more)
    return made if model is None else _proxied(made, model)


def _proxied(made: Snapshot, model: EnvoyUnderTest) -> Snapshot:
    (table,) = made[ROUTE].values()
    for entry in (entry for host in table["virtual_hosts"] for entry in host["routes"]):
        if entry.pop("direct_response", None):
            entry["route"] = {"cluster": "model"}
    endpoint = {"address": {"socket_address": {"address": model.address, "port_value": 8080}}}
    load = {"cluster_name": "model", "endpoints": [{"lb_endpoints": [{"endpoint": endpoint}]}]}
    cluster = {"name": "model", "type": "STATIC", "connect_timeout": "1s", "load_assignment": load}
    return {**made, CLUSTER: {**made[CLUSTER], "model": cluster}}
