"""The rows of faults that are tried. Each module has a name, a title, its plans, and runs one of them."""

import random
from types import ModuleType

from tests.faults.rows import (
    bad_tenants,
    event_histories,
    fault_matrix,
    kill_plans,
    leaders,
    metrics_loss,
    old_views,
    requests,
)

ROWS: tuple[ModuleType, ...] = (
    kill_plans,
    event_histories,
    old_views,
    fault_matrix,
    leaders,
    bad_tenants,
    requests,
    metrics_loss,
)


def sample(row: ModuleType, chance: random.Random, scenes: list[str]) -> list[str]:
    """Return some plans of a row that take seconds."""
    if hasattr(row, "sample"):
        found: list[str] = row.sample(chance)
        return found
    plans = row.plans(scenes)
    return chance.sample(plans, min(row.SAMPLE, len(plans)))


def row_of(plan: str) -> ModuleType:
    """Return the row of a plan."""
    return next(row for row in ROWS if plan.partition("/")[0] == row.NAME)
