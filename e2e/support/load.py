"""Requests at a steady rate against gateway pods, and what came of them."""

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

import aiohttp

from tests.support.bounds import hung
from tests.support.bucket import admissible
from tests.support.waiting import until

SERVED = frozenset({"200"})
"""A 429 says nothing of endpoints: a gateway pod refuses before it looks for one."""
ROUTED = SERVED | {"429", "503"}


class Explained(NamedTuple):
    """How many requests were admitted, and between which counts a limit explains that."""

    least: float
    admitted: int
    most: float

    def __bool__(self) -> bool:
        return self.least <= self.admitted <= self.most


class Span(NamedTuple):
    """What was admitted in a span whose last answers came `late` seconds after its end, and all answers so far."""

    explained: Explained
    late: float
    counts: Counter[str]

    def __bool__(self) -> bool:
        return self.explained.admitted >= self.explained.least


@dataclass(slots=True)
class Outcome:
    """What came of the requests: by status (or the name of an error), and the moments at which those
    that were admitted, and those that were refused, were sent: an answer may be read much later."""

    counts: Counter[str] = field(default_factory=Counter)
    admitted: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)
    failed: list[tuple[float, str]] = field(default_factory=list)
    sent: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    @property
    def strange(self) -> dict[str, int]:
        """What was neither answered nor refused for its rate."""
        return {status: count for status, count in self.counts.items() if status not in ("200", "429")}

    def is_limited_to(self, total: float, since: float, to: float, within: float = 0.05) -> "Explained":
        """Say whether a limit of `total` over the pods that were asked explains what was admitted in a span.

        `within` has to leave room where slots are rewritten meanwhile: each time buckets are full again.
        """
        sent = [[at for at in moments if since <= at < to] for moments in self.sent.values()]
        asked = sum(map(bool, sent))
        least, most = admissible(sent, total / asked, within) if asked else (0, 0)
        return Explained(least, sum(since <= at < to for at in self.admitted), most)

    def failed_after(self, moment: float) -> list[tuple[float, str]]:
        """Return what was sent after a moment, and neither answered nor refused for its rate."""
        return [(sent, status) for sent, status in self.failed if sent > moment]

    def rate(self, since: float, to: float) -> float:
        """Return admitted requests per second in a span."""
        return sum(since <= at < to for at in self.admitted) / (to - since)


class Load:
    """An open-loop load: every pod gets its requests on time, whatever became of the earlier ones."""

    def __init__(
        self,
        host: str,
        path: str,
        rate: float,
        port: int = 8080,
        scheme: str = "http",
        ssl: object = True,
        method: str = "GET",
    ) -> None:
        self._method = method
        self._host, self._path, self._rate, self._port, self._scheme, self._ssl = host, path, rate, port, scheme, ssl
        self.outcome = Outcome()
        self._senders: dict[str, asyncio.Task[None]] = {}
        self._under_way: set[asyncio.Task[None]] = set()

    @property
    def addresses(self) -> list[str]:
        """The pods to which requests are sent now."""
        return list(self._senders)

    @asynccontextmanager
    async def on(self, *addresses: str, once: frozenset[str] = SERVED) -> AsyncIterator["Load"]:
        """Send to each of these pods until left, from when each gives one of the answers `once` on."""
        connector = aiohttp.TCPConnector(limit=0, ssl=self._ssl)  # type: ignore[arg-type]
        timeout = aiohttp.ClientTimeout(total=hung())
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
            self._session = session
            await asyncio.gather(*(self._answers(address, once) for address in addresses if once))
            for address in addresses:
                self.start(address)
            try:
                yield self
            finally:
                for address in list(self._senders):
                    await self.stop(address)

    def start(self, address: str) -> None:
        """Begin to send to one more pod."""
        self._senders[address] = asyncio.create_task(self._send(address))

    async def stop(self, address: str) -> None:
        """Send no more to a pod; what is under way is finished."""
        task = self._senders.pop(address, None)
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def measure(self, seconds: float) -> tuple[float, float]:
        """Let the load run; return when that began and ended, as soon as all that was sent until then is answered."""
        since = time.monotonic()
        await asyncio.sleep(seconds)
        to = time.monotonic()
        await asyncio.gather(*self._under_way, return_exceptions=True)
        return since, to

    async def limited_to(self, total: float, seconds: float, within: float = 0.05) -> Explained:
        """Measure spans of `seconds` until a limit of `total` is used up in one, and return what was admitted in it.

        A machine that stands still for a moment admits less than its limit in that span, and never more: more ends it.
        What was sent last may arrive later, by as much as its answers are late: buckets fill up meanwhile.
        """

        async def used_up() -> Span:
            since, to = await self.measure(seconds)
            late = time.monotonic() - to
            found = self.outcome.is_limited_to(total, since, to, within)
            return Span(found._replace(most=found.most + total * late), late, self.outcome.counts)

        return (await until(used_up, f"{total}/s being admitted")).explained

    async def until_admitted(self, span: float = 5) -> float:
        """Return after how many seconds hardly anything was refused in a span of so many; fails where that does not
        come. A sender on a busy machine sends some at once that were to come one by one."""
        began = time.monotonic()
        while time.monotonic() - began < hung():
            before = Counter(self.outcome.counts)
            await self.measure(span)
            now = self.outcome.counts - before
            if now["429"] <= 0.02 * now["200"]:
                return time.monotonic() - began - span
        raise AssertionError(f"requests are still refused: {self.outcome.counts}")

    async def _answers(self, address: str, once: frozenset[str]) -> None:
        """Wait for such an answer: routes and endpoints reach a gateway pod after they were written."""

        async def answered() -> bool:
            probe = Load(self._host, self._path, self._rate, self._port, self._scheme, self._ssl, self._method)
            probe._session = self._session
            await probe._one(f"{self._scheme}://{address}:{self._port}{self._path}", time.monotonic())
            return bool(probe.outcome.counts.keys() & once)

        await until(answered, f"{address} answering with one of {sorted(once)}")

    async def _send(self, address: str) -> None:
        url = f"{self._scheme}://{address}:{self._port}{self._path}"
        under_way: set[asyncio.Task[None]] = set()
        due = time.monotonic()
        try:
            while True:
                sent = time.monotonic()
                self.outcome.sent[address].append(sent)
                task = asyncio.create_task(self._one(url, sent))
                for tasks in (under_way, self._under_way):
                    tasks.add(task)
                    task.add_done_callback(tasks.discard)
                due += 1 / self._rate
                await asyncio.sleep(max(0.0, due - time.monotonic()))
        finally:
            await asyncio.gather(*under_way, return_exceptions=True)

    async def _one(self, url: str, sent: float) -> None:
        try:
            name = self._host if self._scheme == "https" else None
            async with self._session.request(
                self._method, url, headers={"Host": self._host}, server_hostname=name
            ) as answer:
                await answer.read()
                status = str(answer.status)
        except (aiohttp.ClientError, TimeoutError) as error:
            status = type(error).__name__
        self.outcome.counts[status] += 1
        if status == "200":
            self.outcome.admitted.append(sent)
        elif status == "429":
            self.outcome.refused.append(sent)
        else:
            self.outcome.failed.append((sent, status))
