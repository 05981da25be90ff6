"""The rows of faults that are tried. Each module has a name, a title, its plans, and runs one of them."""

from types import ModuleType

from tests.faults.rows import bad_tenants, fault_matrix, kill_plans, leaders, old_views

ROWS: tuple[ModuleType, ...] = (kill_plans, old_views, fault_matrix, leaders, bad_tenants)


def row_of(plan: str) -> ModuleType:
    """Return the row of a plan."""
    return next(row for row in ROWS if plan.partition("/")[0] == row.NAME)
