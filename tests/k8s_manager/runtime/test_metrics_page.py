"""A page of metrics is made once a second, however many ask."""

import asyncio

import pytest
from prometheus_client import CollectorRegistry, Gauge

from k8s_manager.runtime import metrics
from k8s_manager.runtime.metrics import MetricsPage


async def test_many_who_ask_at_once_get_the_page_that_was_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []

    def registries() -> list[CollectorRegistry]:
        registry = CollectorRegistry()
        Gauge("number", "", registry=registry).set(len(made))
        made.append(registry)
        return [registry]

    page = MetricsPage(registries)
    monkeypatch.setattr(metrics, "FRESH", 3600.0)
    texts = await asyncio.gather(*(page.text() for _ in range(20)))
    assert len(made) == len(set(texts)) == 1 and b"number 0.0" in texts[0]
    monkeypatch.setattr(metrics, "FRESH", -1.0)
    assert b"number 1.0" in await page.text()
