"""What do six hours of rows of a thousand models cost in memory, and how long does an answer over them take?"""

import random
import resource
import time
from collections.abc import Iterator
from dataclasses import replace

from benchmarks.support.report import Figure, at_most, plain
from collectors.access_log.latency import bucket_of
from collectors.access_log.outcomes import NUMBER, OUTCOMES
from collectors.access_log.rows import WINDOW, RowKey, RowPlace, StatsRow
from collectors.request_statistics.row_query import RowQuery, fine_since, merged_rows, packed_rows, unpacked_rows
from collectors.request_statistics.series import COARSE, FINE, RowSeries
from tests.collectors.access_log.lines import at_level

MODELS, TENANTS, PODS, BEGIN = 1_000, 40, 2, 1_764_430_200
VARIANTS = 400
"""Different rows that are made; each window takes some of them, so that their making costs little."""


async def run(quick: bool) -> list[Figure]:
    """Keep the rows of a thousand models with one version each, read from two gateway pods, for six virtual hours."""
    seconds = COARSE // 24 if quick else COARSE + FINE
    chance, series = random.Random(22), RowSeries()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    figures = [_figures(chance) for _ in range(VARIANTS)]
    places = list(_places())
    began, rows = time.process_time(), 0
    for start in range(BEGIN, BEGIN + seconds, WINDOW):
        for pod in range(PODS):
            rows += len(series.put(_rows(places, start, pod, figures, chance)))
        series.age(start + WINDOW)
    kept = time.process_time() - began
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    now = BEGIN + seconds
    query = RowQuery("model", BEGIN // 3600 * 3600, now, 3600, fine_since(now))
    began = time.process_time()
    found = packed_rows(query, series.rows(at_level("model"), query.start, now), series.is_shared)
    answered = time.process_time() - began
    merged = merged_rows(query, unpacked_rows(query, found))
    requests = sum(row.requests for row in merged)
    return [
        plain("rows that were kept", f"{rows}, {1e6 * kept / rows:.1f} us each with their ageing"),
        at_most("memory", grown, 300, " MB"),
        plain("an answer about all models over the whole span, in hours", f"{len(found)} rows in {answered:.1f} s"),
        Figure("models in the answer", str(len({row.key.place for row in merged})), f"all {MODELS}", requests > 0),
    ]


def _places() -> Iterator[RowPlace]:
    yield RowPlace("platform")
    yield RowPlace("gateway", "shared")
    for tenant in range(TENANTS):
        yield RowPlace("tenant", "", f"tenant-{tenant}")
    for model in range(MODELS):
        names = (f"tenant-{model % TENANTS}", f"model-{model}")
        yield RowPlace("model", "", *names)
        yield RowPlace("version", "", *names, "v1")


def _figures(chance: random.Random) -> StatsRow:
    """Return the figures of one window of a model that has some three requests a second."""
    counts, latency, spent = [0] * len(OUTCOMES), dict[int, int](), 0
    for _ in range(chance.randrange(10, 50)):
        duration = int(chance.lognormvariate(10, 0.5)) + 1
        counts[NUMBER["limited" if chance.random() < 0.1 else "ok"]] += 1
        latency[bucket_of(duration)] = latency.get(bucket_of(duration), 0) + 1
        spent += duration
    return StatsRow(RowKey(RowPlace("cell"), 0, ""), 0, tuple(counts), 9_000, 90_000, spent, latency)


def _rows(
    places: list[RowPlace], start: int, pod: int, figures: list[StatsRow], chance: random.Random
) -> Iterator[StatsRow]:
    """Yield the rows of one window, each with figures of its own; a model's only version has those of the model."""
    last = figures[0]
    for place in places:
        if place.level != "version":
            found = chance.choice(figures)
            last = replace(found, bytes_in=chance.randrange(10**6), latency=dict(found.latency))
        yield replace(last, key=RowKey(place, start, f"inference-gw/shared-{pod}"))
