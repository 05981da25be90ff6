"""Rows that controllers may decide by: those of all collectors without a gap, or a sentence that says what is missing.

Half the collectors count half of what there is, so that an answer with any gap is none.
"""

from collectors.access_log.rows import WINDOW, StatsRow
from collectors.request_statistics.row_query import RowQuery, kept_since
from istio_templates.errors import TidegateError
from k8s_manager.statistics.collector_pool import CollectorPool

NO_COLLECTORS = "requests are not counted here; start collectors, and this manager with --collectors URL"


async def whole_rows(pool: CollectorPool | None, query: RowQuery, now: float) -> list[StatsRow] | str:
    """Return the rows that all collectors have at `now` (epoch seconds); or in a sentence why they cannot be used."""
    if pool is None:
        return NO_COLLECTORS
    try:
        answer = await pool.rows(query, kept_since(now))
    except TidegateError as error:
        return f"{error}; look at the collectors"
    if answer.gaps:
        return f"requests are counted in part ({'; '.join(answer.gaps)}); look at the collectors"
    return answer.rows


def logs_nothing(gateway: str) -> str:
    """Return why nothing is counted of a gateway that logs no requests."""
    return f"gateway {gateway} logs no requests; give it accessLog {{mode: json}}"


def window_end(moment: float) -> int:
    """Return the end of the last window that has ended at a moment (epoch seconds)."""
    return int(moment) // WINDOW * WINDOW
