"""Quantiles from buckets are within two per cent of exact ones, at every level."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.access_log.engine import Engine
from collectors.access_log.latency import bucket_of, merged, middle_of, quantile
from collectors.access_log.rows import LEVELS
from tests.collectors.access_log.lines import BEGIN, line

durations = st.integers(1, 3_600_000_000)


@given(durations)
def test_the_middle_of_a_bucket_is_near_everything_in_it(duration: int):
    assert abs(middle_of(bucket_of(duration)) / duration - 1) <= 0.02


@given(st.lists(durations, min_size=1, max_size=200), st.sampled_from([0.5, 0.95, 0.99, 1.0]))
def test_a_quantile_is_near_the_exact_one(values: list[int], share: float):
    buckets = merged([{bucket_of(value): 1} for value in values])
    exact = sorted(values)[max(1, math.ceil(share * len(values))) - 1]
    found = quantile(buckets, share)
    assert found is not None and abs(found / exact - 1) <= 0.02


def test_nothing_has_no_quantile():
    assert quantile({}, 0.5) is None


@pytest.mark.parametrize("share", [0.5, 0.95, 0.99])
def test_quantiles_of_every_level_are_near_the_exact_ones(share: float):
    random.seed(7)
    lines, exact = [], {}
    for _ in range(4000):
        tenant, model = random.choice("ab"), random.choice("xy")
        value = int(random.lognormvariate(10 + ord(model) % 3, 0.8)) + 1
        lines.append(line(BEGIN, tenant, model, duration_us=value))
        for place in (("platform", "", ""), ("tenant", tenant, ""), ("model", tenant, model)):
            exact.setdefault(place, []).append(value)
    engine = Engine()
    engine.feed("gw-0", lines)
    rows = {row.key.place: row for row in engine.end("gw-0")}
    assert {place.level for place in rows} == set(LEVELS)
    for place, row in rows.items():
        if values := exact.get((place.level, place.tenant, place.model)):
            found = quantile(row.latency, share)
            assert abs(found / sorted(values)[math.ceil(share * len(values)) - 1] - 1) <= 0.02
