"""How long histories of deleted documents are kept. Pure."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta

from istio_templates.facts import Manifest
from k8s_manager.history.revision import document_of, is_deletion, uid_of

KEPT_FOR = timedelta(days=30)
KEPT_DELETED = 50
"""Deleted documents of one kind in one namespace."""


def expired(found: Iterable[Manifest], now: datetime) -> list[Manifest]:
    """Return the revisions of documents that were deleted too long ago, or before too many others; each deletion after
    the other revisions of its document, so that an interrupted clean-up is finished by the next."""
    revisions = list(found)
    deletions: dict[tuple[str, str], list[Manifest]] = defaultdict(list)
    for obj in revisions:
        if is_deletion(obj):
            key = document_of(obj)
            deletions[key.kind, key.namespace].append(obj)
    going: set[str] = set()
    for of_kind in deletions.values():
        of_kind.sort(key=_made, reverse=True)
        going |= {uid_of(obj) for obj in of_kind[KEPT_DELETED:]}
        going |= {uid_of(obj) for obj in of_kind if now - _made(obj) > KEPT_FOR}
    return sorted((obj for obj in revisions if uid_of(obj) in going), key=is_deletion)


def _made(obj: Manifest) -> datetime:
    return datetime.fromisoformat(obj["metadata"]["creationTimestamp"])
