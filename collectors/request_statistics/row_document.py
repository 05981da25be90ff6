"""A row as other systems keep it: flat JSON, the same in every sink, so that one query finds it everywhere."""

from typing import Any

from collectors.access_log.outcomes import OUTCOMES
from collectors.access_log.rows import WINDOW, RowKey, RowPlace, StatsRow

Document = dict[str, Any]


def row_id(key: RowKey) -> str:
    """Return the identity of a row as text: a row that is written again under it is the same row. Rows without an arm
    have the identity that they had when no row had one."""
    *names, arm = key.place
    return "|".join((*names, str(key.start), key.source, *([arm] if arm else [])))


def row_document(row: StatsRow) -> Document:
    """Return a row: where it counts, `start` in epoch milliseconds, `window` in seconds, a count of each outcome by its
    name, bytes, `latency_sum` in microseconds, and `latency`, pairs of a bucket and its count in the order of buckets.
    """
    place, start, source = row.key
    return {
        **place._asdict(),
        "start": start * 1000,
        "window": WINDOW,
        "source": source,
        "revision": row.revision,
        **dict(zip(OUTCOMES, row.counts, strict=True)),
        "bytes_in": row.bytes_in,
        "bytes_out": row.bytes_out,
        "latency_sum": row.latency_sum,
        "latency": sorted([bucket, count] for bucket, count in row.latency.items()),
    }


def row_of(document: Document) -> StatsRow:
    """Return the row of a document; raises `KeyError`, `TypeError` or `ValueError` where it is none. Documents of older
    releases have no arm: all their requests count under the weights."""
    place = RowPlace(*(document[name] for name in RowPlace._fields[:-1]))._replace(arm=document.get("arm", ""))
    return StatsRow(
        key=RowKey(place, document["start"] // 1000, document["source"]),
        revision=document["revision"],
        counts=tuple(document[name] for name in OUTCOMES),
        bytes_in=document["bytes_in"],
        bytes_out=document["bytes_out"],
        latency_sum=document["latency_sum"],
        latency=dict(document["latency"]),
    )
