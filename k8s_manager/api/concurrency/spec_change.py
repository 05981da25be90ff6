"""Changes of some fields of a document, made again on what is there where another client was faster.

Unless the caller says of which version of the document it is (If-Match): several clients change one document side by
side.
"""

import asyncio
from collections.abc import Callable
from dataclasses import replace

from istio_templates.errors import Outdated
from istio_templates.facts import Manifest, ObjectKey
from k8s_manager.api.concurrency.preconditions import WHATEVER
from k8s_manager.api.services.document_bodies import shown
from k8s_manager.api.services.document_catalog import DocumentCatalog
from k8s_manager.api.services.document_writer import DocumentWriter
from k8s_manager.api.services.write_request import WriteRequest
from k8s_manager.kube.errors import WriteConflict

ATTEMPTS = 8
PAUSE = 0.05
"""Seconds until a change that another writer has overtaken is made again."""
SpecChange = Callable[[Manifest], Manifest]
"""Returns, for a live document, the fields of its spec that change, None for those that go; raises `Conflict`."""


class SpecChanges:
    """Writes changes of specs."""

    def __init__(self, catalog: DocumentCatalog, writer: DocumentWriter) -> None:
        self._catalog, self._writer = catalog, writer

    async def change(self, key: ObjectKey, change: SpecChange, write: WriteRequest) -> Manifest:
        """Make a change; return the document, or with a dry run what would change."""
        for attempt in range(ATTEMPTS):
            live = self._catalog.live(key)
            changed = change(live)
            spec = {name: value for name, value in {**live["spec"], **changed}.items() if value is not None}
            if spec == live["spec"] and not write.dry_run:
                return shown(live)
            asked = replace(write, match=write.match or WHATEVER)
            try:
                answer, _ = await self._writer.put(key, {"spec": spec}, asked, live)
                return answer
            except (Outdated, WriteConflict):
                if write.match is not None or attempt == ATTEMPTS - 1:
                    raise
            await asyncio.sleep(PAUSE)
        raise AssertionError("the last attempt returns or raises")
