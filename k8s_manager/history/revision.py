"""Revisions: what each accepted change of a document left behind, as ControllerRevisions beside it. Pure.

Who changed a document through the API is written into it in the same write, as a mark that names the generation which
comes of it. It counts for that one, and only where Kubernetes says that the manager wrote last; else the client is
told that did.
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
class ChangeAuthor:
    """Who changed a document, and why: a caller of the API, or the client that wrote."""

    by: str
    reason: str = ""
    ticket: str = ""


def mark(change: ChangeAuthor, live: Manifest | None) -> dict[str, str]:
    """Return the annotation that tells in a document of the change which makes it of `live`, or new."""
    metadata = live["metadata"] if live else {}
    told = {**asdict(change), "uid": metadata.get("uid", ""), "generation": metadata.get("generation", 0) + 1}
    return {MARK: orjson.dumps(told).decode()}


def _marked(document: Manifest) -> ChangeAuthor | None:
    """Return the change that a document tells of, if it is the last one."""
    metadata = document["metadata"]
    raw = _loaded((metadata.get("annotations") or {}).get(MARK))
    uid, generation = raw.get("uid"), raw.get("generation")
    is_last = generation == metadata["generation"] and (uid == metadata["uid"] or (uid == "" and generation == 1))
    writers = _writers(document)
    return _change(raw) if is_last and (writers is None or names.MANAGER in writers) else None


def _loaded(text: str | None) -> Manifest:
    try:
        raw = orjson.loads(text or "")
    except ValueError:
        return {}
    return raw if isinstance(raw, dict) else {}


def _change(raw: Manifest) -> ChangeAuthor | None:
    if not isinstance(raw.get("by"), str):
        return None
    return ChangeAuthor(raw["by"], str(raw.get("reason", "")), str(raw.get("ticket", "")))


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


def change_of(document: Manifest) -> ChangeAuthor:
    """Return who made a document what it is."""
    writers = _writers(document)
    return _marked(document) or ChangeAuthor(f"somebody with {' or '.join(writers)}" if writers else "somebody")


def _writers(document: Manifest) -> list[str] | None:
    """Return the clients that last wrote what people write, as Kubernetes tells it, to the second; None where it does
    not tell."""
    fields = document["metadata"].get("managedFields")
    if not fields:
        return None
    writers = [entry for entry in fields if not entry.get("subresource") and _wrote(entry.get("fieldsV1") or {})]
    last = max((str(entry.get("time", "")) for entry in writers), default=None)
    return sorted({entry["manager"] for entry in writers if str(entry.get("time", "")) == last})


def _wrote(fields: Manifest) -> bool:
    """Tell whether a client has written a spec, or (removing something leaves no other trace) a mark."""
    return "f:spec" in fields or f"f:{MARK}" in fields.get("f:metadata", {}).get("f:annotations", {})


def revision(document: Manifest, change: ChangeAuthor, namespace: str) -> Manifest:
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
            "annotations": {_CHANGE: orjson.dumps(asdict(change)).decode()},
            "ownerReferences": [owner],
        },
        "data": {"spec": document["spec"]},
        "revision": metadata["generation"],
    }


def ordered(found: Iterable[Manifest], uid: str) -> list[Manifest]:
    """Return the revisions of one document, the newest first."""
    own = [obj for obj in found if is_sound(obj) and any(o["uid"] == uid for o in obj["metadata"]["ownerReferences"])]
    return sorted(own, key=lambda obj: int(obj["revision"]), reverse=True)


def is_sound(obj: Manifest) -> bool:
    """Tell whether a ControllerRevision is one of a document, as the manager writes it: others may write there too."""
    owners, data = obj["metadata"].get("ownerReferences"), obj.get("data")
    return (
        isinstance(owners, list)
        and all(isinstance(owner, dict) and isinstance(owner.get("uid"), str) for owner in owners)
        and type(obj.get("revision")) is int
        and isinstance(data, dict)
        and isinstance(data.get("spec"), dict)
    )


def surplus(newest_first: Sequence[Manifest]) -> Sequence[Manifest]:
    """Return the revisions that are not kept any more."""
    return newest_first[KEPT:]


def line(found: Manifest, current: bool) -> Manifest:
    """Return a revision as a line of a history."""
    annotations = found["metadata"].get("annotations") or {}
    change = _change(_loaded(annotations.get(_CHANGE))) or ChangeAuthor("somebody")
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
