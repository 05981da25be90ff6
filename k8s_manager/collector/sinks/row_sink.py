"""What the collector asks of a place where rows are kept."""

from collections.abc import Sequence
from typing import Protocol

from collectors.access_log.rows import StatsRow
from istio_templates.errors import TidegateError


class SinkUnavailable(TidegateError):
    """A sink cannot take rows now: it is away, full, or refuses for a time. The same rows are given to it again."""

    def __init__(self, sink: str, why: str) -> None:
        super().__init__(f"rows cannot be written to {sink} ({why}); they are kept and written again")
        self.sink = sink


class RowSink(Protocol):
    """Keeps rows. A row may be given again with the same key: of two the one with more requests counts, then the one
    with the higher revision (`collectors.access_log.rows.unique`)."""

    @property
    def name(self) -> str:
        """The address of the sink, without credentials, for people."""

    async def write(self, rows: Sequence[StatsRow]) -> int:
        """Keep rows for good; return how many of them the sink refuses for ever (they are not given again).

        Raises `SinkUnavailable`; then any of the rows may or may not be kept, and all of them are given again.
        """

    async def close(self) -> None:
        """Let go of connections and files."""
