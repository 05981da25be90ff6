"""CPU time of a real Envoy per request, for benchmarks that compare what a request passes."""

import asyncio
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from benchmarks.support.route_limit import HOST
from k8s_manager.standalone.translator.snapshot import CLUSTER, ROUTE, Snapshot
from tests.support.envoy import EnvoyUnderTest, running_envoy

CONNECTIONS = 4
REQUEST = f"GET / HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode()
NANOS = 1_000_000_000


def numbered_envoy(folder: Path, number: int) -> AbstractAsyncContextManager[EnvoyUnderTest]:
    """Run an Envoy beside others."""
    place = folder / str(number)
    place.mkdir()
    return running_envoy(place, number=number)


async def cost_of(envoy: EnvoyUnderTest, requests: Sequence[bytes], number: int, status: int = 200) -> float:
    """Return the microseconds of CPU that a request costs an Envoy: so many of `requests` in turn, after a tenth."""
    await send(envoy.address, requests, number // 10, status)
    before = cpu_of(envoy.pid)
    await send(envoy.address, requests, number, status)
    return (cpu_of(envoy.pid) - before) / number * 1e6


def cpu_of(pid: int) -> float:
    """Return the CPU seconds that all threads of a process have had."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / NANOS


async def send(address: str, requests: Sequence[bytes], number: int, status: int = 200) -> None:
    """Send requests one after another over a few connections, and read every answer."""

    async def work(first: int) -> None:
        reader, writer = await asyncio.open_connection(address, 8080)
        for turn in range(number // CONNECTIONS):
            writer.write(requests[(first + turn * CONNECTIONS) % len(requests)])
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(f"HTTP/1.1 {status}".encode()), head
            await reader.readexactly(_length(head))
        writer.close()

    await asyncio.gather(*map(work, range(CONNECTIONS)))


def _length(head: bytes) -> int:
    _, found, rest = head.partition(b"content-length: ")
    return int(rest.split(b"\r\n")[0]) if found else 0


def proxied(made: Snapshot, model: EnvoyUnderTest) -> Snapshot:
    """Return a gateway whose routes lead to another Envoy in place of their own answers."""
    (table,) = made[ROUTE].values()
    for entry in (entry for host in table["virtual_hosts"] for entry in host["routes"]):
        if entry.pop("direct_response", None):
            entry["route"] = {"cluster": "model"}
    endpoint = {"address": {"socket_address": {"address": model.address, "port_value": 8080}}}
    load = {"cluster_name": "model", "endpoints": [{"lb_endpoints": [{"endpoint": endpoint}]}]}
    cluster = {"name": "model", "type": "STATIC", "connect_timeout": "1s", "load_assignment": load}
    return {**made, CLUSTER: {**made[CLUSTER], "model": cluster}}
