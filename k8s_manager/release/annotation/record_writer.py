"""Writes what outlives the statuses of releases, as annotations of their Models, after those statuses themselves.

Only this annotation is written, by a merge: what Git or a person applies has no such field, and leaves it alone.
"""

from collections.abc import Mapping
from contextlib import suppress
from functools import partial

from istio_templates import names
from istio_templates.facts import Manifest, ObjectKey
from k8s_manager.kube.errors import Absent
from k8s_manager.kube.fence import FencedClient
from k8s_manager.kube.store import Store
from k8s_manager.release.release_target import ModelPlace
from k8s_manager.runtime.effects.lane import Effects
from k8s_manager.traffic.release_record import ReleaseRecord

AT_ONCE = 8


class RecordWriter:
    """Writes the records that differ from the annotations that are there."""

    def __init__(self, client: FencedClient, store: Store, effects: Effects) -> None:
        self._client, self._store, self._lane = client, store, effects.lane("release records", AT_ONCE)

    async def write(self, records: Mapping[ModelPlace, ReleaseRecord | None]) -> None:
        """Write the records of models; None: the document says it all, and the annotation goes."""
        due = {}
        for place, record in records.items():
            key, text = ObjectKey("Model", *place), record.text if record else ""
            live = self._store.get(key)
            if live is not None and "deletionTimestamp" not in live["metadata"] and _recorded(live) != text:
                due[place] = partial(self._put, key, text or None)
        await self._lane.run(due, group=lambda place: place.namespace)

    async def _put(self, key: ObjectKey, text: str | None) -> None:
        with suppress(Absent):
            self._store.put(await self._client.merge(key, {"metadata": {"annotations": {names.RELEASED: text}}}))


def _recorded(live: Manifest) -> str:
    return str((live["metadata"].get("annotations") or {}).get(names.RELEASED, ""))
