"""Rows that controllers may decide by: those of all collectors without a gap, or a sentence that says what is missing.

Half the collectors count half of what there is, so that an answer with any gap is none. Lines that were gone before a
collector read them never come: of a span that is asked for again and again, the part after such a gap counts.
"""

from typing import NamedTuple

from collectors.access_log.rows import WINDOW, StatsRow
from collectors.request_statistics.row_query import RowQuery, kept_since
from istio_templates.errors import TidegateError
from k8s_manager.statistics.collector_pool import LATE, CollectorPool
from k8s_manager.statistics.stats_query import SOON

READABLE = SOON + 0.3
"""Seconds after its end at which a window is looked at."""
NO_COLLECTORS = "requests are not counted here; start collectors, and this manager with --collectors URL"


class CountedRows(NamedTuple):
    """Rows of which none is missing since a moment (epoch seconds)."""

    since: int
    rows: list[StatsRow]


async def whole_rows(pool: CollectorPool | None, query: RowQuery, now: float) -> list[StatsRow] | str:
    """Return the rows that all collectors have at `now` (epoch seconds); or in a sentence why they cannot be used."""
    found = await rows_since_gap(pool, query, now)
    if isinstance(found, str):
        return found
    return _in_part(LATE) if found.since > query.start else found.rows


async def rows_since_gap(
    pool: CollectorPool | None, query: RowQuery, now: float, silent: str | None = None
) -> CountedRows | str:
    """Return the rows since the last gap, in whole steps of the query; or in a sentence why there are none. `silent` is
    a gateway of the model that logs no requests."""
    if pool is None:
        return NO_COLLECTORS
    if silent is not None:
        return logs_nothing(silent)
    try:
        answer = await pool.rows(query, kept_since(now))
    except TidegateError as error:
        return f"{error}; look at the collectors"
    since = -(-answer.whole_since // query.step) * query.step
    if answer.flaws or answer.file_flaws or since >= query.end > query.start:
        return _in_part(*answer.gaps)
    begin = max(query.start, since)
    return CountedRows(begin, [row for row in answer.rows if row.key.start >= begin])


def _in_part(*gaps: str) -> str:
    return f"requests are counted in part ({'; '.join(gaps)}); look at the collectors"


def seconds_to_look(now: float, every: float) -> float:
    """Return the seconds until the next look of a controller that looks every so many: at the moment at which a window
    can be read, so that what it says is not known later by as much as a pause. `now` is in epoch seconds."""
    earliest = max(now, now + every - WINDOW)
    readable = window_end(earliest - READABLE) + WINDOW + READABLE
    return min(every, readable - now)


def logs_nothing(gateway: str) -> str:
    """Return why nothing is counted of a gateway that logs no requests."""
    return f"gateway {gateway} logs no requests; give it accessLog {{mode: json}}"


def window_end(moment: float) -> int:
    """Return the end of the last window that has ended at a moment (epoch seconds)."""
    return int(moment) // WINDOW * WINDOW
