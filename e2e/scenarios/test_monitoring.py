"""The shipped alert rules as promtool judges them, and replica counts from a real Prometheus."""

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from collectors.prometheus import Prometheus, SourceDown
from e2e.cluster.place import PROJECT
from tests.support.serving import serving
from tests.support.standalone import free_port
from tests.support.waiting import until

pytestmark = pytest.mark.own_cluster
PROGRAMS = Path(os.environ.get("E2E_PROMETHEUS", ""))
MONITORING = PROJECT / "manifests" / "monitoring"
SERIES = "kube_deployment_status_replicas_ready"


@pytest.mark.parametrize(
    "words",
    [
        ("check", "rules", "alerts.yaml", "rules.yaml"),
        ("test", "rules", "alerts.test.yaml"),
        ("test", "rules", "request-alerts.test.yaml"),
    ],
)
def test_promtool_takes_the_alert_rules_and_their_tests_pass(words: tuple[str, ...]) -> None:
    ended = subprocess.run([PROGRAMS / "promtool", *words], cwd=MONITORING, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "SUCCESS" in ended.stdout


@pytest.mark.parametrize("before, after", [("< 1", "< 0"), ("for: 1m", "for: 1h"), ("> 0.01", "> 0.9")])
def test_a_rule_that_is_wrong_fails_its_tests(tmp_path: Path, before: str, after: str) -> None:
    rules = (MONITORING / "alerts.yaml").read_text()
    (tmp_path / "alerts.yaml").write_text(rules.replace(before, after, 1))
    (tmp_path / "alerts.test.yaml").write_text((MONITORING / "alerts.test.yaml").read_text())
    command = [PROGRAMS / "promtool", "test", "rules", "alerts.test.yaml"]
    assert subprocess.run(command, cwd=tmp_path, capture_output=True, check=False).returncode != 0


class StateMetrics:
    """What kube-state-metrics shows."""

    def __init__(self) -> None:
        self.ready = 3

    async def answer(self, _: web.Request) -> web.Response:
        series = f'{SERIES}{{namespace="search",deployment="ranker-v1"}} {self.ready}\n'
        return web.Response(text=f"# TYPE {SERIES} gauge\n{series}", content_type="text/plain")


@pytest.fixture
async def metrics() -> AsyncIterator[tuple[StateMetrics, int]]:
    """Show replica counts at a port."""
    shown = StateMetrics()
    async with serving("/metrics", shown.answer) as port:
        yield shown, port


@pytest.fixture
async def url(metrics: tuple[StateMetrics, int], tmp_path: Path) -> AsyncIterator[str]:
    """Run a Prometheus that scrapes them once a second."""
    config, port = tmp_path / "prometheus.yml", free_port()
    config.write_text(
        "global: {scrape_interval: 1s}\n"
        f"scrape_configs: [{{job_name: a, static_configs: [{{targets: ['127.0.0.1:{metrics[1]}']}}]}}]\n"
    )
    options = [f"--config.file={config}", f"--storage.tsdb.path={tmp_path}", f"--web.listen-address=127.0.0.1:{port}"]
    with (tmp_path / "log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(PROGRAMS / "prometheus", *options, stdout=log, stderr=log)
    yield f"http://127.0.0.1:{port}"
    process.terminate()
    await process.wait()


async def test_counts_of_a_real_prometheus_are_read_with_the_times_of_their_scrapes(
    metrics: tuple[StateMetrics, int], url: str
) -> None:
    source = Prometheus(url)

    async def counted() -> tuple[float, float] | None:
        try:
            found = (await source.read()).get(("search", "ranker-v1"))
        except SourceDown:
            return None
        return (found.value, found.at) if found else None

    value, at = await until(counted, "the first scrape")
    assert value == 3
    metrics[0].ready = 5

    async def is_five() -> tuple[float, float] | None:
        found = await counted()
        return found if found and found[0] == 5 else None

    _, later = await until(is_five, "the next scrapes")
    assert later > at
