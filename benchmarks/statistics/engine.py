"""How many lines of an access log does the engine count, beside a bare loop that only parses the same bytes?"""

import random
import resource
import time
from collections.abc import Iterator

import orjson

from benchmarks.support.report import Figure, at_most, plain
from collectors.access_log.engine import Engine
from collectors.access_log.latency import quantile
from tests.collectors.access_log.lines import BEGIN, LIMITED, line

TENANTS, MODELS, SECONDS, BATCH = 40, 5, 600, 2_000
SHARES = (0.5, 0.95, 0.99)


async def run(quick: bool) -> list[Figure]:
    """Count a million lines of 200 models over ten minutes, in turns with the bare loop, batch by batch."""
    lines = 50_000 if quick else 1_000_000
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    engine, rows, counted, bare, own = Engine(), 0, 0, 0.0, 0.0
    worst = dict.fromkeys(SHARES, 0.0)
    exact: dict[tuple[int, str, str], list[int]] = {}
    for batch, told in _batches(lines):
        began = time.process_time()
        for text in batch:
            orjson.loads(text)
        parsed = time.process_time()
        closed = engine.feed("gw-0", batch)
        own += time.process_time() - parsed
        bare += parsed - began
        for place, duration in told:
            exact.setdefault(place, []).append(duration)
        rows += len(closed)
        counted += sum(row.requests for row in closed if row.key.place.level == "platform")
        _compare(closed, exact, worst)
    began = time.process_time()
    last = engine.end("gw-0")
    own += time.process_time() - began
    counted += sum(row.requests for row in last if row.key.place.level == "platform")
    _compare(last, exact, worst)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    return [
        plain(
            "lines", f"{lines} in {rows + len(last)} rows, {lines / own:.0f}/s beside {lines / bare:.0f}/s of orjson"
        ),
        Figure("lines in rows", str(counted), f"all {lines}", counted == lines, count=True),
        Figure("share of a bare orjson.loads loop", f"{bare / own:.2f}", "at least 0.4", bare / own >= 0.4),
        at_most("memory", grown, 150, " MB"),
        *[
            at_most(f"quantile {share:g}, worst of all models and windows", off * 100, 2, " %", count=True)
            for share, off in worst.items()
        ],
    ]


def _batches(lines: int) -> Iterator[tuple[list[bytes], list[tuple[tuple[int, str, str], int]]]]:
    """Yield lines out of order by up to 1.5 s, and the duration of each that the model answered."""
    chance = random.Random(22)
    for first in range(0, lines, BATCH):
        batch, told = [], []
        for number in range(first, min(first + BATCH, lines)):
            moment = BEGIN + SECONDS * number / lines + chance.random() * 1.5
            tenant, model = f"tenant-{chance.randrange(TENANTS)}", f"model-{chance.randrange(MODELS)}"
            duration = int(chance.lognormvariate(10, 0.5)) + 1
            is_limited = chance.random() < 0.012
            values = LIMITED if is_limited else {"duration_us": duration, "duration_ms": duration // 1000}
            batch.append(line(moment, tenant, model, **_WHOLE, **values))
            if not is_limited:
                told.append(((int(moment) // 10 * 10, tenant, model), duration))
        yield batch, told


_WHOLE = {
    "host": "models.example.com",
    "path": "/v2/models/ranker/infer",
    "method": "POST",
    "protocol": "HTTP/1.1",
    "upstream": "10.244.3.17:8080",
    "request_id": "93a29d51-b706-4944-8719-9c894eb5e81f",
    "pod": "shared-7d9f8b6c5-x2x4q",
    "pod_namespace": "inference-gw",
    "client": "10.1.2.3",
}


def _compare(rows: list, exact: dict[tuple[int, str, str], list[int]], worst: dict[float, float]) -> None:
    for row in rows:
        place = row.key.place
        if place.level == "model":
            values = sorted(exact.pop((row.key.start, place.tenant, place.model), ()))
            for share in SHARES if values else ():
                found, right = quantile(row.latency, share), values[max(1, -int(-share * len(values) // 1)) - 1]
                worst[share] = max(worst[share], abs((found or 0) / right - 1))
