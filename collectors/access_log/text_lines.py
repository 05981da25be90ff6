"""Lines of a stream of bytes: bounded, and without what a container runtime writes before each."""

import re
from collections.abc import Iterator
from typing import IO

LINE_MAX = 65_536
"""Bytes; what is longer is cut, and no line of the access log."""
BATCH = 2_000
_RUNTIME = re.compile(rb"\S+ std(?:out|err) ([FP]) ")
"""Time, stream and whether a line ends here: the log format of Kubernetes' container runtimes (CRI)."""


def batches(stream: IO[bytes]) -> Iterator[list[bytes]]:
    """Yield the lines of a stream, some at a time."""
    batch: list[bytes] = []
    for line in _joined(_bounded(stream)):
        batch.append(line)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _bounded(stream: IO[bytes]) -> Iterator[bytes]:
    while line := stream.readline(LINE_MAX):
        if not line.endswith(b"\n"):
            while (rest := stream.readline(LINE_MAX)) and not rest.endswith(b"\n"):
                pass
        yield line


def _joined(lines: Iterator[bytes]) -> Iterator[bytes]:
    """Yield lines without the runtime's head; what it has cut in parts is put together."""
    parts = b""
    for line in lines:
        found = None if line.startswith(b"{") else _RUNTIME.match(line)
        if found is None:
            yield line
            continue
        parts = (parts + line[found.end() :].rstrip(b"\n"))[:LINE_MAX]
        if found[1] == b"F":
            yield parts
            parts = b""
