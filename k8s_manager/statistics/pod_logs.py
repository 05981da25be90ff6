"""The logs of a model's pods as one: in the order of time, and as they come. Bounded in pods, bytes and readers."""

import asyncio
import re
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

from collectors.access_log.text_lines import LineSplitter
from istio_templates.errors import Invalid, Problem, TidegateError, Waiting
from istio_templates.facts import Manifest, ObjectKey
from k8s_manager.kube.client import KubeClient

MOST_PODS = 50
MOST_BYTES = 2 * 2**20
"""Bytes of logs in an answer that ends, the newest of each pod."""
AT_ONCE = 2
"""Such answers that are made at once."""
MOST_FOLLOWERS = 20
"""Streams that are followed through one manager at once."""
LONGEST_LINE = 16_384
WAITING_LINES = 200
LOOK = 2.0
"""Seconds between two looks for pods that come."""
_STAMPED = re.compile(rb"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)) ?")


@dataclass(frozen=True, slots=True)
class LogQuery:
    """What is asked of each pod: the last lines, since so many seconds, of its container's former run, of a container
    other than the first."""

    tail: int
    since: int | None = None
    previous: bool = False
    container: str = ""

    def parameters(self, follow: bool, after: str | None = None) -> dict[str, str]:
        """Return the parameters of Kubernetes' log subresource. `after` is the moment of the last line that was read,
        empty where lines have no moments, and None where none was read."""
        found = {"timestamps": "true", "follow": str(follow).lower()}
        found |= {"sinceTime": after} if after else {"tailLines": str(self.tail if after is None else 0)}
        if self.since is not None and after is None:
            found["sinceSeconds"] = str(self.since)
        if self.previous:
            found["previous"] = "true"
        return {**found, "container": self.container} if self.container else found


class PodLine(NamedTuple):
    """A line and its moment, as the container runtime noted it; empty where it did not."""

    time: str
    pod: str
    text: str
    problem: str = ""

    def shown(self) -> Manifest:
        """Return the line as the API shows it."""
        said = {"problem": self.problem} if self.problem else {"line": self.text}
        return {"time": self.time or None, "pod": self.pod, **said}


Pods = Callable[[], Sequence[ObjectKey]]


class PodLogs:
    """Reads logs through the Kubernetes API."""

    def __init__(self, client: KubeClient) -> None:
        self._client, self._followers = client, 0
        self._reading = asyncio.Semaphore(AT_ONCE)

    async def recent(self, pods: Sequence[ObjectKey], query: LogQuery) -> list[PodLine]:
        """Return what the pods have written, in the order of time. A pod that cannot be read has a line that says
        why."""
        _require_few(pods)
        async with self._reading:
            most = MOST_BYTES // max(1, len(pods))
            found = await asyncio.gather(*(self._whole(pod, query, most) for pod in pods))
        return sorted((line for lines in found for line in lines), key=lambda line: line.time)

    async def follow(self, pods: Pods, query: LogQuery) -> AsyncGenerator[PodLine]:
        """Yield what the pods have written and go on to write, those included that come later; raises `Waiting` where
        too many read already."""
        with self._place():
            queue: asyncio.Queue[PodLine] = asyncio.Queue(WAITING_LINES)
            reading: dict[ObjectKey, asyncio.Task[None]] = {}
            try:
                while True:
                    there = pods()[:MOST_PODS]
                    for pod in [pod for pod in reading if pod not in there]:
                        reading.pop(pod).cancel()
                    for pod in there:
                        if pod not in reading:
                            reading[pod] = asyncio.create_task(self._into(queue, pod, query))
                    for line in await _waiting(queue):
                        yield line
            finally:
                for task in reading.values():
                    task.cancel()
                await asyncio.gather(*reading.values(), return_exceptions=True)

    def require_room(self) -> None:
        """Raise `Waiting` where as many logs are followed as may be."""
        if self._followers >= MOST_FOLLOWERS:
            raise Waiting(f"{MOST_FOLLOWERS} logs are followed through this manager already; end one", 30)

    @contextmanager
    def _place(self) -> Iterator[None]:
        self.require_room()
        self._followers += 1
        try:
            yield
        finally:
            self._followers -= 1

    async def _whole(self, pod: ObjectKey, query: LogQuery, most: int) -> list[PodLine]:
        """Return the newest lines of a pod, at most so many bytes."""
        splitter, lines, size = LineSplitter(), deque[bytes](), 0
        try:
            async for piece in self._client.pod_log(pod, query.parameters(follow=False)):
                for line in splitter.feed(piece):
                    lines.append(line)
                    size += len(line) + 1
                while size > most:
                    size -= len(lines.popleft()) + 1
        except TidegateError as error:
            return [PodLine("", pod.name, "", str(error))]
        return [_line(pod, line) for line in [*lines, *splitter.rest()]]

    async def _into(self, queue: asyncio.Queue[PodLine], pod: ObjectKey, query: LogQuery) -> None:
        """Read a pod again and again: a container may not have started yet, or restart, or write nothing for long."""
        last: str | None = None
        problem = ""
        while True:
            splitter, before = LineSplitter(), last or ""
            try:
                async for piece in self._client.pod_log(pod, query.parameters(follow=True, after=last)):
                    for found in splitter.feed(piece):
                        line = _line(pod, found)
                        if not line.time or line.time > before:
                            await queue.put(line)
                        last = max(last or "", line.time)
            except TidegateError as error:
                if str(error) != problem:
                    await queue.put(PodLine("", pod.name, "", str(error)))
                problem = str(error)
            if query.previous:
                return
            await asyncio.sleep(LOOK)


async def _waiting(queue: asyncio.Queue[PodLine]) -> list[PodLine]:
    """Return the lines that have come, as soon as there is one; none where none comes for a while."""
    try:
        async with asyncio.timeout(LOOK):
            lines = [await queue.get()]
    except TimeoutError:
        return []
    while not queue.empty():
        lines.append(queue.get_nowait())
    return lines


def _require_few(pods: Sequence[ObjectKey]) -> None:
    if len(pods) > MOST_PODS:
        said = f"there are {len(pods)} pods, and at most {MOST_PODS} are read at once; name some"
        raise Invalid("logs", [Problem("pod", said)])


def _line(pod: ObjectKey, line: bytes) -> PodLine:
    stamped = _STAMPED.match(line)
    moment, text = (stamped[1].decode(), line[stamped.end() :]) if stamped else ("", line)
    return PodLine(moment, pod.name, text[:LONGEST_LINE].decode("utf-8", "replace").rstrip("\r\n"))
