"""Usage as the REST API asks for it: read once for all who ask within some seconds."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from math import inf

from istio_templates.facts import Manifest
from k8s_manager.runtime.clock import Clock
from k8s_manager.runtime.work.work_queue import WorkQueue
from k8s_manager.statistics.usage.usage_answer import VersionPod, model_item, pod_gaps, pod_item
from k8s_manager.statistics.usage.usage_source import UsageReading, UsageSource

FRESH = 5.0
"""Seconds for which a reading serves: servers measure less often than that."""
MOST_NAMESPACES = 64
"""Namespaces of which a reading is kept."""
AT_ONCE = 4
"""Namespaces that are read at once."""


Models = Callable[[], Mapping[str, Sequence[VersionPod]]]
"""Finds the pods of each model; any thread may call it."""


class UsageReader:
    """Reads what pods use from a source; a question that is asked by several at once is asked once,
    and a server that is away is not waited for again for each namespace."""

    def __init__(self, source: UsageSource, clock: Clock) -> None:
        self.source, self._clock = source, clock
        self._kept: OrderedDict[str, tuple[float, asyncio.Task[UsageReading]]] = OrderedDict()
        self._turn = asyncio.Semaphore(AT_ONCE)
        self._away = (-inf, UsageReading({}))

    async def of_model(self, namespace: str, pods: Sequence[VersionPod]) -> Manifest:
        """Return the usage of a model's pods."""
        reading = await self.reading(namespace)
        return self._answer(reading, pods, [pod_item(pod, reading.pods) for pod in pods])

    async def of_tenant(self, namespace: str, find: Models, work: WorkQueue) -> Manifest:
        """Return the usage of the pods of each model. A tenant may have thousands: they are found and summed beside the
        event loop."""
        reading = await self.reading(namespace)

        def summed() -> Manifest:
            models = find()
            pods = [pod for found in models.values() for pod in found]
            return self._answer(
                reading, pods, [model_item(name, models[name], reading.pods) for name in sorted(models)]
            )

        return await work.run(summed)

    def _answer(self, reading: UsageReading, pods: Sequence[VersionPod], items: list[Manifest]) -> Manifest:
        gaps = [*reading.gaps, *pod_gaps(reading, pods, self.source)]
        return {"items": items, "partial": bool(gaps), "gaps": gaps}

    async def reading(self, namespace: str) -> UsageReading:
        """Return what the pods of a namespace use, as it was read within `FRESH` seconds."""
        now = self._clock.now()
        found = self._kept.get(namespace)
        if found is None or now - found[0] >= FRESH or found[1].cancelled():
            found = self._kept[namespace] = (now, asyncio.create_task(self._read(namespace)))
            self._kept.move_to_end(namespace)
            while len(self._kept) > MOST_NAMESPACES:
                self._kept.popitem(last=False)
        return await asyncio.shield(found[1])

    async def _read(self, namespace: str) -> UsageReading:
        async with self._turn:
            until, away = self._away
            if self._clock.now() < until:
                return away
            found = await self.source.read(namespace)
            if found.is_away:
                self._away = self._clock.now() + FRESH, found
            return found
