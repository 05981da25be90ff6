"""The documents in the store, read once for all readers."""

import logging
from typing import Any

from istio_templates import names
from istio_templates.documents import Document, parse
from istio_templates.documents.versions.chosen_version import chosen_in, with_chosen
from istio_templates.errors import Invalid, Problem
from istio_templates.facts import Manifest
from k8s_manager.kube.resources import DOCUMENTS
from k8s_manager.kube.store import Store
from k8s_manager.runtime.memo import Last
from k8s_manager.world.world import FINALIZER, Stored

log = logging.getLogger(__name__)


class DocumentReader:
    """Reads each document when it has changed."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lists = {kind: Last() for kind in DOCUMENTS}
        self._read: dict[str, dict[str, tuple[Manifest, Stored]]] = {kind: {} for kind in DOCUMENTS}

    def all(self, kind: str) -> tuple[Stored[Any], ...]:
        """Return the documents of a kind; the same tuple while none of them has changed."""
        return self._lists[kind].get((self._store.changes(kind),), lambda: self._all(kind))

    def _all(self, kind: str) -> tuple[Stored, ...]:
        before, now = self._read[kind], {}
        for obj in self._store.all(kind):
            uid = obj["metadata"]["uid"]
            found = before.get(uid)
            # An object in the store is never changed in place.
            now[uid] = found if found and found[0] is obj else (obj, _stored(obj, found[1] if found else None))
        self._read[kind] = now
        return tuple(stored for _, stored in now.values())


def _stored(obj: Manifest, before: Stored | None) -> Stored:
    """Return a document, parsed again unless it is of the same generation as `before`."""
    metadata, status = obj["metadata"], obj.get("status", {})
    generation = metadata.get("generation", 0)
    known = before is not None and before.generation == generation
    written, problems = (before.written, before.problems) if known and before else _parsed(obj)
    is_same = known and before and chosen_in(before.status) == chosen_in(status)
    document = before.document if is_same and before else written and with_chosen(written, status)
    annotations = metadata.get("annotations") or {}
    accepted: Manifest = next((c for c in status.get("conditions", []) if c["type"] == "Accepted"), {})
    return Stored(
        key=names.key_of(obj),
        uid=metadata["uid"],
        generation=generation,
        created=metadata.get("creationTimestamp", ""),
        deleting="deletionTimestamp" in metadata,
        finalizer=FINALIZER in metadata.get("finalizers", []),
        document=document,
        written=written,
        problems=problems,
        incumbent=accepted.get("status") == "True" and accepted.get("observedGeneration") == generation,
        accepted_before=accepted.get("status") == "True",
        status=status,
        labels=metadata.get("labels", {}),
        release_request=annotations.get(names.RELEASE, ""),
        release_record=annotations.get(names.RELEASED, ""),
    )


def _parsed(obj: Manifest) -> tuple[Document | None, tuple[Problem, ...]]:
    try:
        return parse(obj), ()
    except Invalid as error:
        return None, error.problems
    except Exception as error:  # one unforeseen document must not stop all the others
        log.exception("%s cannot be read", names.key_of(obj))
        return None, (Problem("", f"cannot be read ({error!r}); change it"),)
