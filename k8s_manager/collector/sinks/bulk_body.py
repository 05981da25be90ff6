"""Rows as requests to `_bulk`, bounded in bytes, and what a search store answers to each row. Pure."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import orjson

from collectors.access_log.rows import StatsRow
from collectors.request_statistics.row_document import row_document, row_id

ID_MAX = 512
"""Bytes of an id, at most, in Elasticsearch and OpenSearch."""
SAMPLE_MAX = 300
CREATED = (200, 201)
ALREADY_THERE = 409
REFUSED = (400, 413)
"""What no repetition mends: the store cannot read this row. All else but success may pass."""


@dataclass(slots=True)
class BulkResult:
    """What a store made of a request: the items that it could not take (and why the first), and how many it refuses."""

    again: list[bytes] = field(default_factory=list)
    refused: int = 0
    sample: str | None = None
    busy: str = ""


def document_id(row: StatsRow) -> str:
    """Return the id of a row in one revision; where names are too long for a store, a digest of it.

    A collector that was started again counts revisions from 0 again, and may have read more: the number of requests
    tells its rows apart from those of the one before.
    """
    text = f"{row_id(row.key)}|{row.revision}|{row.requests}"
    return text if len(text.encode()) <= ID_MAX else hashlib.sha256(text.encode()).hexdigest()


def bulk_item(row: StatsRow) -> bytes:
    """Return a row as two lines, an action and a document; in it, `row` names what all its revisions have in common."""
    action = {"create": {"_id": document_id(row)}}
    document = {"@timestamp": row.key.start * 1000, "row": row_id(row.key), **row_document(row)}
    return orjson.dumps(action) + b"\n" + orjson.dumps(document) + b"\n"


def requests(items: Iterable[bytes], most: int) -> Iterator[list[bytes]]:
    """Yield items in groups of at most `most` bytes; an item that is larger is a group of its own."""
    group: list[bytes] = []
    size = 0
    for item in items:
        if group and size + len(item) > most:
            yield group
            group, size = [], 0
        group.append(item)
        size += len(item)
    if group:
        yield group


def result_of(items: Sequence[bytes], answer: bytes) -> BulkResult:
    """Return what a store answered to each item; raises `ValueError` where the answer is none of `_bulk`."""
    try:
        given = orjson.loads(answer)["items"]
        answers = [next(iter(one.values())) for one in given]
        statuses = [int(one["status"]) for one in answers]
    except (orjson.JSONDecodeError, AttributeError, KeyError, StopIteration, TypeError, ValueError):
        raise ValueError("its answer is none of _bulk") from None
    if len(answers) != len(items):
        raise ValueError(f"it answers for {len(answers)} of {len(items)} rows")
    result = BulkResult()
    for item, status, one in zip(items, statuses, answers, strict=True):
        if status in REFUSED:
            result.refused += 1
            result.sample = result.sample or reason_of(one.get("error"))
        elif status not in CREATED and status != ALREADY_THERE:
            result.again.append(item)
            result.busy = result.busy or f"{status}: {reason_of(one.get('error'))}"
    return result


def reason_of(error: object) -> str:
    """Return the reason that a store gives for one row, for people: printable and short."""
    if isinstance(error, dict):
        cause = error.get("caused_by")
        parts = [error.get("type"), error.get("reason"), cause.get("reason") if isinstance(cause, dict) else None]
        text = ": ".join(str(part) for part in parts if part)
    else:
        text = str(error or "")
    shown = "".join(letter if letter.isprintable() else "?" for letter in text[:SAMPLE_MAX])
    return shown or "no reason is given"
