"""Revisions: what each accepted change of a document left behind, as ControllerRevisions beside it. Pure.

Who changed a document through the API is written into it in the same write, as a mark. A mark counts for one revision:
the next one that carries the same was made by another way, and then Kubernetes tells which client wrote last.
"""

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

import orjson

from istio_templates import names
from istio_templates.facts import Manifest, ObjectKey
from istio_templates.yaml_text import yaml_text

KEPT = 20
MARK = "tidegate.dev/change"
_KIND, _NAME = "tidegate.dev/revision-kind", "tidegate.dev/revision-of"
_CHANGE = "tidegate.dev/revision-change"


@dataclass(frozen=True, slots=True)
class Change:
    """Who changed a document, and why. `id` tells one change from another, `by` may be the client that wrote."""

    by: str
    reason: str = ""
    ticket: str = ""
    id: str = ""


def mark(change: Change) -> dict[str, str]:
    """Return the annotation that tells of a change in its document."""
    return {MARK: orjson.dumps(asdict(change)).decode()}


def marked(document: Manifest) -> Change | None:
    """Return the change that a document tells of."""
    return _read((document["metadata"].get("annotations") or {}).get(MARK))


def _read(text: str | None) -> Change | None:
    try:
        raw = orjson.loads(text or "")
        return Change(**{name: str(raw[name]) for name in ("by", "reason", "ticket", "id")})
    except (ValueError, KeyError, TypeError):
        return None


def name_of(document: Manifest) -> str:
    """Return the name of the revision of a document as it is."""
    metadata = document["metadata"]
    return f"{document['kind'].lower()}.{metadata['name']}.{metadata['uid'][:8]}.{metadata['generation']}"


def selector(key: ObjectKey) -> str:
    """Return the label selector of all revisions of a document."""
    return f"{_KIND}={key.kind},{_NAME}={key.name}"


def of_everything() -> str:
    """Return the label selector of all revisions."""
    return _KIND


def change_of(document: Manifest, before: Manifest | None) -> Change:
    """Return who made a document what it is; `before` is its last revision."""
    told, last = marked(document), _told(before) if before else None
    if told is not None and (last is None or told.id != last.id):
        return told
    return Change(_writer(document))


def _writer(document: Manifest) -> str:
    """Return the client that last wrote what people write, as Kubernetes tells it."""
    fields = document["metadata"].get("managedFields") or []
    writers = [entry for entry in fields if not entry.get("subresource") and "f:spec" in (entry.get("fieldsV1") or {})]
    last = max((str(entry.get("time", "")) for entry in writers), default=None)
    clients = sorted({entry["manager"] for entry in writers if str(entry.get("time", "")) == last})  # to the second
    return f"somebody with {' or '.join(clients)}" if clients else "somebody"


def revision(document: Manifest, change: Change, namespace: str) -> Manifest:
    """Return the ControllerRevision of a document as it is. It goes with its document."""
    metadata = document["metadata"]
    owner = {
        "apiVersion": document["apiVersion"],
        "kind": document["kind"],
        "name": metadata["name"],
        "uid": metadata["uid"],
    }
    labels = {names.MANAGED_BY: names.MANAGER, _KIND: document["kind"], _NAME: metadata["name"]}
    return {
        "apiVersion": "apps/v1",
        "kind": "ControllerRevision",
        "metadata": {
            "name": name_of(document),
            "namespace": namespace,
            "labels": labels,
            "annotations": {_CHANGE: mark(change)[MARK], MARK: _id(document)},
            "ownerReferences": [owner],
        },
        "data": {"spec": document["spec"]},
        "revision": metadata["generation"],
    }


def _id(document: Manifest) -> str:
    told = marked(document)
    return told.id if told else ""


def _told(found: Manifest) -> Change | None:
    """Return a change with the id of the mark that the document carried at a revision."""
    return Change("", id=(found["metadata"].get("annotations") or {}).get(MARK, ""))


def ordered(found: Iterable[Manifest], uid: str) -> list[Manifest]:
    """Return the revisions of one document, the newest first."""
    own = [obj for obj in found if any(o["uid"] == uid for o in obj["metadata"].get("ownerReferences") or [])]
    return sorted(own, key=lambda obj: int(obj["revision"]), reverse=True)


def surplus(newest_first: Sequence[Manifest]) -> Sequence[Manifest]:
    """Return the revisions that are not kept any more."""
    return newest_first[KEPT:]


def line(found: Manifest, current: bool) -> Manifest:
    """Return a revision as a line of a history."""
    annotations = found["metadata"].get("annotations") or {}
    change = _read(annotations.get(_CHANGE)) or Change("somebody")
    return {
        "revision": int(found["revision"]),
        "at": found["metadata"].get("creationTimestamp"),
        "by": change.by,
        "reason": change.reason,
        "ticket": change.ticket,
        "current": current,
    }


def difference(old: Manifest, new: Manifest) -> str:
    """Return what differs between two revisions' specs, as a unified diff."""
    before, after = (yaml_text([obj["data"]["spec"]]).splitlines(True) for obj in (old, new))
    tags = (f"revision {old['revision']}", f"revision {new['revision']}")
    return "".join(difflib.unified_diff(before, after, *tags))
