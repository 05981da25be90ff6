"""Figures of a window of requests: how many came, how many were in flight, how long they took. Pure."""

from collectors.access_log.latency import quantile
from collectors.access_log.outcomes import ADMITTED
from collectors.access_log.rows import WINDOW, StatsRow
from istio_templates.documents.autoscale_signal import QUANTILE, Signal

ASKING = (*ADMITTED, "limited", "closed")
"""Outcomes of requests that would use a replica: admitted ones, those beyond the limit, and those of a model that is
closed. Preflights and what the gateway rejects by itself never reach one."""
_MICROSECONDS = 1e6


def request_figure(signal: Signal, row: StatsRow | None) -> float:
    """Return requests/s for demand, requests in flight on average for concurrency, and seconds for latency; 0 where
    there was no request, which for latency argues for nothing."""
    if row is None:
        return 0.0
    if signal.kind == "demand":
        return row.count(*ASKING) / WINDOW
    if signal.kind == "concurrency":  # Little's law: the time that all requests took, over the time there was
        return row.latency_sum / _MICROSECONDS / WINDOW
    found = quantile(row.latency, signal.quantile or QUANTILE)
    return 0.0 if found is None else found / _MICROSECONDS
