"""Rows as the API shows them. Pure."""

from collections.abc import Iterable
from typing import Literal

from collectors.access_log.outcomes import OUTCOMES
from collectors.access_log.rows import StatsRow
from collectors.request_statistics.summary import summary
from istio_templates.errors import Invalid, Problem
from istio_templates.facts import Manifest
from k8s_manager.runtime.timestamp import timestamp_at

By = Literal["gateway", "tenant", "model", "version", "outcome"]
MOST_ITEMS = 10_000


def items_of(rows: Iterable[StatsRow], by: By | None) -> list[Manifest]:
    """Return the items of an answer: counts, not rates; raises `Invalid` where they are too many."""
    found: list[Manifest] = []
    for row in rows:
        parts = _outcomes(row) if by == "outcome" else [{**_names(row, by), **summary(row)}]
        found += [{"start": timestamp_at(row.key.start), **part} for part in parts]
        if len(found) > MOST_ITEMS:
            right = "ask for a longer step, a shorter span, or for less at once"
            raise Invalid("statistics", [Problem("step", f"there are more than {MOST_ITEMS} items; {right}")])
    return found


def _names(row: StatsRow, by: By | None) -> Manifest:
    if by == "model":
        return {"tenant": row.key.place.tenant, "model": row.key.place.model}
    return {by: getattr(row.key.place, by)} if by else {}


def _outcomes(row: StatsRow) -> list[Manifest]:
    counts = zip(OUTCOMES, row.counts, strict=True)
    return [{"outcome": name, "requests": count} for name, count in counts if count]
