"""Records of figures: annotations of Deployments, written before the Deployments themselves are changed."""

import logging
from collections.abc import Mapping

from istio_templates import names
from istio_templates.errors import TidegateError
from istio_templates.facts import ObjectKey
from k8s_manager.kube.errors import Absent
from k8s_manager.kube.fence import FencedClient
from k8s_manager.kube.store import Store

log = logging.getLogger(__name__)


class FigureRecords:
    """Writes the annotation apart from everything else: it changes no pod, and no desired object has it."""

    def __init__(self, client: FencedClient, store: Store) -> None:
        self._client, self._store = client, store

    async def write(self, records: Mapping[ObjectKey, str | None]) -> frozenset[ObjectKey]:
        """Write the texts of records; return the Deployments whose record was not written: they must not roll yet."""
        failed = set()
        for key, text in records.items():
            try:
                patch = {"metadata": {"annotations": {names.FIGURES: text}}}
                self._store.put(await self._client.merge(key, patch))
            except Absent:
                continue
            except TidegateError as error:
                log.warning("the figures of the replicas of %s were not recorded: %s", key, error)
                failed.add(key)
        return frozenset(failed)
