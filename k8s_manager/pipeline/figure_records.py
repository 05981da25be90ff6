"""Records of figures: annotations of Deployments, written before the Deployments themselves are changed."""

from collections.abc import Mapping
from contextlib import suppress
from functools import partial

from istio_templates import names
from istio_templates.facts import ObjectKey
from k8s_manager.kube.errors import Absent
from k8s_manager.kube.fence import FencedClient
from k8s_manager.kube.store import Store
from k8s_manager.runtime.effects.lane import Effects

AT_ONCE = 8


class FigureRecords:
    """Writes the annotation apart from everything else: it changes no pod, and no desired object has it."""

    def __init__(self, client: FencedClient, store: Store, effects: Effects) -> None:
        self._client, self._store, self._lane = client, store, effects.lane("figures", AT_ONCE)

    async def write(self, records: Mapping[ObjectKey, str | None]) -> frozenset[ObjectKey]:
        """Write the texts of records; return the Deployments whose record is not written: they must not roll yet."""
        effects = {key: partial(self._write, key, text) for key, text in records.items()}
        return await self._lane.run(effects, group=lambda key: key.namespace)

    async def _write(self, key: ObjectKey, text: str | None) -> None:
        patch = {"metadata": {"annotations": {names.FIGURES: text}}}
        with suppress(Absent):
            self._store.put(await self._client.merge(key, patch))
