"""The rows of faults that are tried. Each module has a name, a title, its plans, and runs one of them."""

from types import ModuleType

from tests.faults.rows import fault_matrix, kill_plans

ROWS: tuple[ModuleType, ...] = (kill_plans, fault_matrix)


def row_of(plan: str) -> ModuleType:
    """Return the row of a plan."""
    return next(row for row in ROWS if plan.partition("/")[0] == row.NAME)
