"""Rows as the API shows them. Pure."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Literal

from collectors.access_log.outcomes import OUTCOMES
from collectors.access_log.rows import RowPlace, StatsRow
from collectors.request_statistics.series import in_steps
from collectors.request_statistics.summary import summary
from istio_templates.arms.arm_facts import WEIGHTS
from istio_templates.errors import Invalid, Problem
from istio_templates.facts import Manifest
from k8s_manager.runtime.timestamp import timestamp_at

By = Literal["gateway", "tenant", "model", "version", "arm", "outcome"]
MOST_ITEMS = 10_000


def rows_of_arms(rows: Iterable[StatsRow], arm: str | None, by: By | None, step: int) -> list[StatsRow]:
    """Return the rows of a model's versions and arms added up by one of both, or all together, in steps of seconds; of
    one arm only where it is given, which may be WEIGHTS."""

    def place(found: RowPlace) -> RowPlace:
        return found._replace(version=found.version if by == "version" else "", arm=found.arm if by == "arm" else "")

    own = (row for row in rows if arm is None or (row.key.place.arm or WEIGHTS) == arm)
    return in_steps((replace(row, key=row.key._replace(place=place(row.key.place))) for row in own), step)


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
    if by == "arm":
        return {"arm": row.key.place.arm or WEIGHTS}
    return {by: getattr(row.key.place, by)} if by else {}


def _outcomes(row: StatsRow) -> list[Manifest]:
    counts = zip(OUTCOMES, row.counts, strict=True)
    return [{"outcome": name, "requests": count} for name, count in counts if count]
