"""Lines of a stream of bytes: bounded, and without what a container runtime writes before each."""

import re
from collections.abc import Iterator
from typing import IO

LINE_MAX = 65_536
"""Bytes; what is longer is cut, and no line of the access log."""
PIECE = 2**20
RUNTIME_HEAD = re.compile(rb"\S+ (stdout|stderr) ([FP]) ")
"""Time, stream and whether a line ends here: the log format of Kubernetes' container runtimes (CRI)."""


class LineSplitter:
    """Puts lines together out of pieces of a stream. What a container runtime has cut in parts is one line again."""

    def __init__(self) -> None:
        self._piece = b""
        self._parts: dict[bytes, bytes] = {}

    def feed(self, piece: bytes) -> list[bytes]:
        """Return the lines that end in a piece."""
        first, *others = piece.split(b"\n")
        self._extend(first)
        if not others:
            return []
        lines = [self._piece, *others[:-1]]
        self._piece = b""
        self._extend(others[-1])
        return [line for text in lines if (line := self._joined(text[:LINE_MAX])) is not None]

    def rest(self) -> list[bytes]:
        """Return the line that the stream has ended with, if it has one."""
        piece, self._piece = self._piece, b""
        line = self._joined(piece) if piece else None
        parts, self._parts = list(self._parts.values()), {}
        return [*([line] if line is not None else []), *parts]

    def _extend(self, piece: bytes) -> None:
        if len(self._piece) < LINE_MAX:
            self._piece = (self._piece + piece)[:LINE_MAX]

    def _joined(self, line: bytes) -> bytes | None:
        """Return a line without the runtime's head; None where it goes on."""
        found = None if line.startswith(b"{") else RUNTIME_HEAD.match(line)
        if found is None:
            return line
        stream, ending = found.groups()
        whole = (self._parts.pop(stream, b"") + line[found.end() :])[:LINE_MAX]
        if ending == b"F":
            return whole
        self._parts[stream] = whole
        return None


def batches(stream: IO[bytes]) -> Iterator[list[bytes]]:
    """Yield the lines of a stream, some at a time."""
    splitter = LineSplitter()
    while piece := stream.read(PIECE):
        yield splitter.feed(piece)
    yield splitter.rest()
