"""What people and programs are shown of a row: counts, and quantiles of the latency."""

from typing import Any

from collectors.access_log.latency import quantile
from collectors.access_log.outcomes import ADMITTED, CLIENT_ERRORS, NO_ANSWER, OUTCOMES, SERVER_ERRORS
from collectors.access_log.rows import StatsRow

SHARES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}


def summary(row: StatsRow) -> dict[str, Any]:
    """Return the figures of a row: counts of requests, bytes, and latency in milliseconds (None where no model has
    answered). `demand` is what was admitted and what the limit refused."""
    admitted, limited = row.count(*ADMITTED), row.count("limited")
    return {
        "demand": admitted + limited,
        "admitted": admitted,
        "limited": limited,
        "clientErrors": row.count(*CLIENT_ERRORS),
        "serverErrors": row.count(*SERVER_ERRORS),
        "noAnswer": row.count(*NO_ANSWER),
        "outcomes": {name: count for name, count in zip(OUTCOMES, row.counts, strict=True) if count},
        "bytesIn": row.bytes_in,
        "bytesOut": row.bytes_out,
        "latency": {name: _milliseconds(quantile(row.latency, share)) for name, share in SHARES.items()},
    }


def _milliseconds(microseconds: float | None) -> float | None:
    return None if microseconds is None else round(microseconds / 1000, 3)
