"""What the pipeline tests share: a broker, and collectors as processes."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.pipeline.kafka.broker import RealBroker, real_broker
from tests.pipeline.kafka.traffic import LineTraffic, RowTopic
from tests.support.bounds import hung
from tests.support.standalone import free_port
from tests.support.waiting import until

SPAN = 600
"""Seconds of time that the lines of a test are about; they end now."""


class Pipeline:
    """Lines, collectors and rows."""

    def __init__(self, broker: RealBroker, folder: Path) -> None:
        self.broker, self._folder = broker, folder
        self.traffic = LineTraffic(broker.address, "lines", time.time() - SPAN)
        self.rows = RowTopic(broker.address, "rows")
        self._began = time.monotonic()
        self._collectors: list[subprocess.Popen[bytes]] = []

    def start_collector(self) -> subprocess.Popen[bytes]:
        """Start another member of the group."""
        words = ("collect", "kafka", self.broker.address, "--topic", "lines", "--rows-topic", "rows")
        listen = f"127.0.0.1:{free_port()}"
        command = (sys.executable, "-m", "k8s_manager.cli.main", *words, "--listen", listen)
        with (self._folder / f"collector-{len(self._collectors)}.log").open("wb") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        self._collectors.append(process)
        return process

    def end(self, process: subprocess.Popen[bytes], number: int = signal.SIGTERM) -> int:
        """End a collector; return its exit code."""
        os.kill(process.pid, number)
        return process.wait(hung())

    async def more_rows(self) -> None:
        """Wait until rows come that were not there before."""
        await self.rows.counted()
        before = self.rows.read

        async def are_there() -> bool:
            await self.rows.counted()
            return self.rows.read > before

        await until(are_there, what="more rows")

    async def require_exact(self) -> None:
        """Wait until every window is counted exactly, and check that nothing comes later that changes it."""

        async def is_exact() -> bool:
            return await self.rows.counted() == self.traffic.expected

        try:
            await until(is_exact, what="exact rows")
        except AssertionError as error:
            found, expected = await self.rows.counted(), self.traffic.expected
            odd = {key: (found.get(key), expected.get(key)) for key in {*found, *expected}}
            odd = {key: pair for key, pair in odd.items() if pair[0] != pair[1]}
            raise AssertionError(f"{len(odd)} windows differ, such as {list(odd.items())[:3]}") from error
        assert self.rows.newest == self.rows.last
        total = sum(each.requests for each in self.traffic.expected.values())
        assert total == self.traffic.written
        took = time.monotonic() - self._began
        print(
            f"\n{took:.0f} s: {total} lines, {len(self.traffic.expected)} windows of models, {self.rows.read} rows written"
        )

    def stop(self) -> None:
        """End everything that was started, if it runs."""
        for process in self._collectors:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            process.wait(hung())
        self.rows.close()


@pytest.fixture
async def pipeline(tmp_path: Path) -> AsyncIterator[Pipeline]:
    async with real_broker(tmp_path) as broker:
        await broker.make_topic("lines")
        await broker.make_topic("rows", cleanup_policy="compact")
        running = Pipeline(broker, tmp_path)
        try:
            yield running
        finally:
            running.stop()
