from collections.abc import Callable

import pytest

from collectors.access_log.outcomes import OUTCOMES
from collectors.access_log.rows import RowKey, RowPlace, StatsRow


@pytest.fixture
def stats_row() -> Callable[..., StatsRow]:
    def row(**counts: int) -> StatsRow:
        place = RowPlace("version", tenant="search", model="ranker", version="v2")
        by_outcome = tuple(counts.get(name, 0) for name in OUTCOMES)
        return StatsRow(RowKey(place, 0, "pod"), 0, by_outcome, 0, 0, 0, {250: 1})

    return row
