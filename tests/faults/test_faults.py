"""A sample of all plans, drawn by the day. `make faults` runs them all."""

import random
from datetime import UTC, datetime

import pytest

from tests.faults.__main__ import surprises
from tests.faults.rows import ROWS, requests, sample
from tests.faults.scenes import SCENES

DAY = datetime.now(UTC).date().isoformat()
SCENES_EACH = 2
"""In how many scenes a row is tried."""


def marked(row):
    """Return a row as a parameter; one with real Envoys runs beside no other of them."""
    return pytest.param(row, id=row.NAME, marks=[pytest.mark.xdist_group("standalone")] if row is requests else [])


@pytest.mark.parametrize("row", [marked(row) for row in ROWS])
def test_a_sample_of_the_day_ends_as_the_reference(row):
    chance = random.Random(f"{DAY} {row.NAME}")
    plans = sample(row, chance, chance.sample(sorted(SCENES), SCENES_EACH))
    print(f"sample of {DAY}: {plans}")
    found = surprises({plan: row.run(plan) for plan in plans})
    assert not found, "\n".join([f"the sample of {DAY}:", *found])
