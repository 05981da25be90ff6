"""A status is written where it tells something else, and only there."""

import asyncio
from itertools import permutations
from types import SimpleNamespace

from istio_templates.facts import ObjectKey
from k8s_manager.kube.event import EventOutbox
from k8s_manager.kube.store import Store
from k8s_manager.runtime.effects.lane import Effects
from k8s_manager.runtime.events import Events
from k8s_manager.status.status_writer import StatusWriter
from k8s_manager.world.world import Stored
from tests.features.test_drift import Hand

KEY = ObjectKey("InferenceGateway", "", "shared")
OURS = {"name": KEY.name, "uid": "u", "resourceVersion": "1"}
CONDITIONS = [
    {"type": kind, "status": "True", "reason": "Fine", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"}
    for kind in ("Accepted", "Ready", "LimitsApplied")
]


class Kubernetes:
    """An API server that keeps what is written."""

    def __init__(self) -> None:
        self.written: list[dict] = []

    async def merge(self, key, body, subresource):
        self.written.append(body)
        return {"kind": key.kind, "metadata": OURS | {"resourceVersion": "2"}, "status": body["status"]}


async def written(before: list[dict], now: list[dict]) -> list[dict]:
    server, clock = Kubernetes(), Hand()
    store, effects = Store(("InferenceGateway",), clock), Effects(clock, asyncio.Event())
    store.put({"kind": KEY.kind, "metadata": OURS, "status": {"conditions": before}})
    writer = StatusWriter(server, store, clock, Events(clock), EventOutbox(server, effects), effects)
    stored = Stored(KEY, "u", 1, "", False, True, None, (), status={"conditions": before})
    await writer.write(SimpleNamespace(documents=lambda: (stored,)), {KEY: {"conditions": now}})
    return server.written


async def test_the_order_of_conditions_tells_nothing():
    for order in permutations(CONDITIONS):
        assert await written(CONDITIONS, [dict(condition) for condition in order]) == []


async def test_another_state_and_a_missing_condition_are_written():
    other = [*CONDITIONS[:2], CONDITIONS[2] | {"status": "False", "reason": "Pending"}]
    assert len(await written(CONDITIONS, other)) == 1
    assert len(await written(CONDITIONS, CONDITIONS[:2])) == 1
