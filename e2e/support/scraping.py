"""A real Prometheus that scrapes the gateway pods."""

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from tests.support.standalone import free_port

NODE = "10.244.0.1"
"""The address at which pods reach what runs in the cluster's network beside them."""
EVERY = 2
"""Seconds between two scrapes."""


@asynccontextmanager
async def with_prometheus(folder: Path, gateways: Sequence[str]) -> AsyncIterator[str]:
    """Run a Prometheus that scrapes gateway pods, and give the address at which pods reach it."""
    config, port = folder / "prometheus.yml", free_port()
    targets = ", ".join(f"'{address}:15090'" for address in gateways)
    config.write_text(
        f"global: {{scrape_interval: {EVERY}s}}\n"
        "scrape_configs:\n"
        f"- {{job_name: gateways, metrics_path: /stats/prometheus, static_configs: [{{targets: [{targets}]}}]}}\n"
    )
    program = Path(os.environ["E2E_PROMETHEUS"]) / "prometheus"
    options = [f"--config.file={config}", f"--storage.tsdb.path={folder}/data", f"--web.listen-address={NODE}:{port}"]
    with (folder / "log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(program, *options, stdout=log, stderr=log)
    try:
        yield f"http://{NODE}:{port}"
    finally:
        process.terminate()
        await process.wait()
