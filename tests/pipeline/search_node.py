"""A real OpenSearch of one node on 127.0.0.1, from the jars of `opensearch/pom.xml`."""

import asyncio
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from tests.pipeline.jars import jars
from tests.support.standalone import free_port
from tests.support.waiting import until

PARTS = Path(__file__).parent / "opensearch"
JAVA = ("java", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")


class SearchNode:
    """A node that can be killed and started again; what it has acknowledged stays in its folder."""

    def __init__(self, home: Path, lib: Path, session: aiohttp.ClientSession) -> None:
        self._home, self._lib, self._session = home, lib, session
        self._ports = free_port(), free_port()
        self.address = f"http://127.0.0.1:{self._ports[0]}"
        self._process: Process | None = None

    async def start(self) -> None:
        """Start the node and wait until it answers for all its data."""
        (self._home / "config").mkdir(parents=True, exist_ok=True)
        program = ("-cp", f"{self._lib}/*", str(PARTS / "SearchNode.java"), str(self._home), *map(str, self._ports))
        self._process = await asyncio.create_subprocess_exec(*JAVA, *program, stdout=DEVNULL, stderr=DEVNULL)
        await until(self._is_ready, "an answer of OpenSearch")

    async def kill(self) -> None:
        """Kill the node, as a machine without power would."""
        if self._process is not None:
            self._process.kill()
            await self._process.wait()
            self._process = None

    async def ask(self, method: str, path: str, body: Any = None) -> Any:
        """Return what the node answers, as JSON."""
        async with self._session.request(method, self.address + path, json=body) as answer:
            found = await answer.json()
            assert answer.status == 200, found
            return found

    async def _is_ready(self) -> bool:
        assert self._process is not None and self._process.returncode is None, "OpenSearch has ended"
        try:
            found = await self.ask("GET", "/_cluster/health")
        except (aiohttp.ClientError, AssertionError):
            return False
        return bool(found["status"] in ("green", "yellow"))  # yellow: replicas have no second node


@asynccontextmanager
async def search_node(home: Path) -> AsyncIterator[SearchNode]:
    async with aiohttp.ClientSession() as session:
        node = SearchNode(home, jars(PARTS / "pom.xml", "opensearch"), session)
        try:
            await node.start()
            yield node
        finally:
            await node.kill()
