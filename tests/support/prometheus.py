"""A real Prometheus, and promtool: on the path, as Debian installs them."""

import asyncio
import os
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

from tests.support.standalone import free_port
from tests.support.waiting import until

PROGRAMS = {name: shutil.which(name) for name in ("prometheus", "promtool")}
needs_prometheus = pytest.mark.skipif(
    None in PROGRAMS.values() and "CI" not in os.environ, reason="no Prometheus; apt-get install prometheus"
)


def program(name: str) -> str:
    """Return the path of a program of Prometheus."""
    found = PROGRAMS[name]
    assert found, f"no {name} on the path; apt-get install prometheus"
    return found


def promtool(*words: str, folder: Path) -> tuple[int, str]:
    """Run promtool in a folder; return its exit code and what it printed."""
    ended = subprocess.run([program("promtool"), *words], cwd=folder, capture_output=True, text=True, check=False)
    return ended.returncode, ended.stdout + ended.stderr


@dataclass(frozen=True, slots=True)
class RunningPrometheus:
    """A Prometheus that scrapes."""

    url: str
    session: aiohttp.ClientSession

    async def query(self, expression: str) -> list[tuple[dict[str, str], float]]:
        """Return the series that answer an expression: labels and value, those that are no number left out."""
        found = await self._data("/api/v1/query", query=expression)
        answers = [(series["metric"], float(series["value"][1])) for series in found["result"]]
        return [(labels, value) for labels, value in answers if value == value]

    async def targets(self) -> list[dict[str, Any]]:
        """Return the targets that it scrapes."""
        return list((await self._data("/api/v1/targets", state="active"))["activeTargets"])

    async def rules(self) -> list[dict[str, Any]]:
        """Return its rules, with whether they could be evaluated."""
        return [rule for group in (await self._data("/api/v1/rules"))["groups"] for rule in group["rules"]]

    async def _data(self, path: str, **words: str) -> Any:
        async with self.session.get(self.url + path, params=words) as answer:
            body = await answer.json()
        assert body["status"] == "success", f"{words}: {body}"
        return body["data"]

    async def is_ready(self) -> bool:
        """Tell whether it answers queries."""
        try:
            async with self.session.get(f"{self.url}/-/ready") as answer:
                return answer.status == 200
        except aiohttp.ClientError:
            return False


@asynccontextmanager
async def running_prometheus(folder: Path, config: dict[str, Any]) -> AsyncIterator[RunningPrometheus]:
    """Run a Prometheus with a configuration until the block ends."""
    file, port = folder / "prometheus.yaml", free_port()
    file.write_text(yaml.safe_dump(config))
    options = [f"--config.file={file}", f"--storage.tsdb.path={folder}", f"--web.listen-address=127.0.0.1:{port}"]
    with (folder / "prometheus.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(program("prometheus"), *options, stdout=log, stderr=log)
    try:
        async with aiohttp.ClientSession(trust_env=False) as session:
            found = RunningPrometheus(f"http://127.0.0.1:{port}", session)
            await until(found.is_ready, "Prometheus being ready")
            yield found
    finally:
        process.terminate()
        await process.wait()
