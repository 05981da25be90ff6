"""Signals of requests from a real collector: what gateways' lines say is what the autoscaler reads."""

import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from k8s_manager.autoscaling.readings.request_signals import RequestSignals
from k8s_manager.runtime.clock import SystemClock
from k8s_manager.statistics.collector_pool import CollectorPool
from tests.collectors.access_log.lines import LIMITED, line
from tests.features.test_statistics import TOKEN, collector_on
from tests.k8s_manager.autoscaling.readings.scene import target, values, why
from tests.support.fleet import Fleet
from tests.support.standalone import free_port


class LaterClock(SystemClock):
    """A clock that shows the moment at which a window is settled that begins at some second."""

    def __init__(self, begin: int) -> None:
        self._begin = begin

    def now(self) -> float:
        return 1000.0

    def utc(self) -> datetime:
        return datetime.fromtimestamp(self._begin + 37, UTC)


@pytest.mark.parametrize("is_late", [False, True], ids=["all counted", "it began in the window"])
async def test_lines_of_gateways_become_signals(fleet: Fleet, tmp_path: Path, is_late: bool) -> None:
    begin, port, token = int(time.time()) // 10 * 10 - 10, free_port(), tmp_path / "token"
    token.write_text(TOKEN)
    one = [line(begin + 1, duration_us=4_000_000, duration_ms=4000), line(begin + 9.9, **LIMITED)]
    two = [line(begin + 5, duration_us=2_000_000, duration_ms=2000), line(begin - 1), line(begin + 10)]
    wanted = target(
        {"name": "demand"},
        {"name": "concurrency", "target": 4},
        {"name": "latency", "target": "1s", "quantile": 0.99, "weight": 1},
    )
    async with collector_on(fleet, "127.0.0.1", port, a=one, b=two) as collector:
        collector._since = begin + 5 if is_late else 0
        signals = RequestSignals(CollectorPool(f"http://127.0.0.1:{port}", token), LaterClock(begin))
        found = await signals.read([wanted])
    if is_late:
        assert "a collector began to count after the beginning" in why(found, wanted, "demand")
        return
    assert values(found, wanted) == pytest.approx({"demand": 0.3, "concurrency": 0.6, "latency": 4.0}, rel=0.03)
    assert {reading.at for reading in found.values[wanted.key].values()} == {1000 - 27}
