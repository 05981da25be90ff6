"""A row in few bytes, for those that are kept for hours: integers of seven bits a byte, the lowest first."""

from collections.abc import Iterable, Iterator

from collectors.access_log.outcomes import OUTCOMES
from collectors.access_log.rows import RowKey, StatsRow


def packed(row: StatsRow) -> bytes:
    """Return the figures of a row."""
    out = bytearray()
    _put(out, (*row.counts, row.bytes_in, row.bytes_out, row.latency_sum))
    last = 0
    for bucket in sorted(row.latency):
        _put(out, (bucket - last, row.latency[bucket]))
        last = bucket
    return bytes(out)


def unpacked(key: RowKey, data: bytes, revision: int = 0) -> StatsRow:
    """Return the row with some figures."""
    figures = list(_take(data))
    head = len(OUTCOMES) + 3
    latency, bucket = {}, 0
    for step, count in zip(figures[head::2], figures[head + 1 :: 2], strict=True):
        bucket += step
        latency[bucket] = count
    counts, (bytes_in, bytes_out, latency_sum) = tuple(figures[: len(OUTCOMES)]), figures[len(OUTCOMES) : head]
    return StatsRow(key, revision, counts, bytes_in, bytes_out, latency_sum, latency)


def _put(out: bytearray, figures: Iterable[int]) -> None:
    for figure in figures:
        rest = figure
        while rest > 127:
            out.append(rest & 127 | 128)
            rest >>= 7
        out.append(rest)


def _take(data: bytes) -> Iterator[int]:
    figure = shift = 0
    for byte in data:
        figure |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            yield figure
            figure = shift = 0
