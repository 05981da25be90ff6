"""200 connections at 500 calls a second, four reads to one write: how long does the REST API take, and a bare one?"""

import asyncio
import itertools
import json
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from benchmarks.support.report import Figure, at_most, plain
from benchmarks.support.rig import cluster
from k8s_manager.api.authn.static_tokens import hashed, new_token
from tests.support.documents import gateway, model, tenant
from tests.support.standalone import free_port
from tests.support.waiting import until

CONNECTIONS, RATE, READS_TO_A_WRITE, MODELS, PEOPLE = 200, 500.0, 4, 100, 20
BOUND_MS = 100


@dataclass(slots=True)
class Calls:
    """How long calls took, in seconds, by method, and how they were answered."""

    took: dict[str, list[float]] = field(default_factory=lambda: {"GET": [], "PUT": []})
    answers: Counter[int | str] = field(default_factory=Counter)

    def p99(self, *methods: str) -> float:
        """Return the 99th percentile in milliseconds."""
        found = sorted(itertools.chain.from_iterable(self.took[method] for method in methods))
        return 1000 * statistics.quantiles(found, n=100)[98]


async def run(quick: bool) -> list[Figure]:
    """Call both in turn, each for as long."""
    seconds = 6 if quick else 30
    ours, bare = [], []
    with tempfile.TemporaryDirectory() as folder:
        tokens = [new_token() for _ in range(PEOPLE)]
        async with _manager(Path(folder), tokens) as api, _bare() as peer:
            for _ in range(1 if quick else 2):
                bare.append(await _call(peer, tokens, seconds))
                ours.append(await _call(api, tokens, seconds))
        lines = (Path(folder) / "audit.log").read_text().count("\n")
    writes, wrong = sum(len(calls.took["PUT"]) for calls in ours), _wrong(ours)
    mine, theirs = (max(calls.p99("GET", "PUT") for calls in found) for found in (ours, bare))
    return [
        at_most("calls that were not answered with 200", wrong, 0, count=True),
        Figure("lines of the audit trail", str(lines), f"{writes} writes", lines == writes + MODELS, True),
        at_most("p99 of all calls", mine, BOUND_MS, " ms"),
        plain("p99 of reads, of writes", f"{_worst(ours, 'GET'):.1f} ms, {_worst(ours, 'PUT'):.1f} ms"),
        plain("p99 of a bare FastAPI", f"{theirs:.1f} ms"),
        plain("ratio", f"{mine / theirs:.1f}"),
    ]


def _wrong(found: list[Calls]) -> int:
    return sum(count for calls in found for status, count in calls.answers.items() if status != 200)


def _worst(found: list[Calls], method: str) -> float:
    return max(calls.p99(method) for calls in found)


@asynccontextmanager
async def _manager(folder: Path, tokens: list[str]) -> AsyncIterator[str]:
    """Run the manager with identity and audit, and all models in it."""
    people = [{"user": f"person-{n}", "groups": ["sre"], "sha256": hashed(t)} for n, t in enumerate(tokens)]
    (folder / "tokens.yaml").write_text(json.dumps({"tokens": people}))
    options = ("--tokens-file", str(folder / "tokens.yaml"), "--audit", str(folder / "audit.log"))
    grant = {"apiVersion": "tidegate.dev/v1alpha1", "kind": "AccessGrant", "metadata": {"name": "sre"}}
    async with cluster(folder) as found:
        await found.create([gateway(), tenant(), {**grant, "spec": {"role": "tenantAdmin", "groups": ["sre"]}}])
        async with found.manager(*options):
            await _fill(found.api, tokens)
            await found.still(2)
            yield found.api


@asynccontextmanager
async def _bare() -> AsyncIterator[str]:
    """Run the bare API, with the same documents."""
    port = free_port()
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "benchmarks.support.bare_api", str(port))
    server = f"http://127.0.0.1:{port}"

    async def up() -> bool:
        async with aiohttp.ClientSession() as session:
            try:
                async with session.get(server + "/docs"):
                    return True
            except aiohttp.ClientError:
                return False

    try:
        await until(up, "the bare API")
        await _fill(server, ["none"])
        yield server
    finally:
        process.terminate()
        await process.wait()


async def _fill(server: str, tokens: list[str]) -> None:
    async with aiohttp.ClientSession(server) as session:
        for number in range(MODELS):
            path, body = _write(number, 20)
            async with session.put(path, json=body, headers=_headers(tokens[0])) as answer:
                assert answer.status in (200, 201), await answer.text()


def _write(number: int, rate: float) -> tuple[str, dict[str, Any]]:
    name = f"m{number % MODELS}"
    return f"/v1/tenants/search/models/{name}", {"spec": {**model(name)["spec"], "rateLimit": {"perReplicaQps": rate}}}


def _headers(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}", "If-Match": "*"}


async def _call(server: str, tokens: list[str], seconds: float) -> Calls:
    """Call at an even pace, whatever became of the earlier calls, over so many connections that stay open."""
    calls, numbers, started = Calls(), iter(range(int(RATE * seconds))), time.monotonic()
    connector = aiohttp.TCPConnector(limit=CONNECTIONS, keepalive_timeout=600)

    async def one_connection(session: aiohttp.ClientSession, token: str) -> None:
        for number in numbers:
            due = started + number / RATE
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            method = "GET" if number % (READS_TO_A_WRITE + 1) else "PUT"
            path, body = _write(number // (READS_TO_A_WRITE + 1), 20 + number % 997)
            began = time.monotonic()
            sent = {"json": body} if method == "PUT" else {}
            try:
                async with session.request(method, path, headers=_headers(token), **sent) as answer:  # type: ignore[arg-type]
                    await answer.read()
                    calls.answers[answer.status] += 1
            except aiohttp.ClientError as error:
                calls.answers[type(error).__name__] += 1
            calls.took[method].append(time.monotonic() - began)

    async with aiohttp.ClientSession(server, connector=connector) as session:
        await asyncio.gather(*(one_connection(session, tokens[n % len(tokens)]) for n in range(CONNECTIONS)))
    return calls
