"""Revisions: what each accepted change of a document left behind, as ControllerRevisions beside it. Pure.

They outlive their document, so no ownerReferences point to it: labels say which one it was. Its deletion is a revision
too, the last one of that document.

Who changed a document through the API is written into it in the same write, as a mark that names the resulting
generation. It counts for that one, and only where Kubernetes says that the manager wrote last; else the revision names
the client that did.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

import orjson

from istio_templates import names
from istio_templates.facts import Manifest, ObjectKey
from istio_templates.yaml_text import yaml_text
from k8s_manager.runtime.work.text_diff import unified

KEPT = 20
MARK = "tidegate.dev/change"
_KIND, _NAME = "tidegate.dev/revision-kind", "tidegate.dev/revision-of"
_UID, _DELETION = "tidegate.dev/revision-uid", "tidegate.dev/revision-deletion"
_CHANGE = "tidegate.dev/revision-change"


@dataclass(frozen=True, slots=True)
class ChangeAuthor:
    """Who changed a document, and why: a caller of the API, or the client that wrote."""

    by: str
    reason: str = ""
    ticket: str = ""


def mark(change: ChangeAuthor, live: Manifest | None) -> dict[str, str]:
    """Return the annotation that records in a document the change which makes it from `live`, or new."""
    metadata = live["metadata"] if live else {}
    told = {**asdict(change), "uid": metadata.get("uid", ""), "generation": metadata.get("generation", 0) + 1}
    return {MARK: orjson.dumps(told).decode()}


def _marked(document: Manifest) -> ChangeAuthor | None:
    """Return the change that a document's mark records, if it is the last one."""
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
    return _marked(document) or ChangeAuthor(
        f"a client named {' or '.join(writers)}" if writers else "an unknown client"
    )


def _writers(document: Manifest) -> list[str] | None:
    """Return the clients that last wrote what people write, as Kubernetes records them, to the second; None where it
    does not."""
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
    """Return the ControllerRevision of a document as it is."""
    metadata = document["metadata"]
    labels = {_KIND: document["kind"], _NAME: metadata["name"], _UID: metadata["uid"]}
    data = {"spec": document["spec"], "labels": metadata.get("labels") or {}}
    return _stored(name_of(document), namespace, labels, change, data, metadata["generation"])


def deletion(last: Manifest, change: ChangeAuthor, labels: dict[str, str] | None = None) -> Manifest:
    """Return the ControllerRevision of a deletion: what a document was at the end, as its `last` revision has it, with
    the labels that it had then, where they are known."""
    metadata, data = last["metadata"], last["data"]
    named = {**{name: metadata["labels"][name] for name in (_KIND, _NAME)}, _UID: uid_of(last), _DELETION: "true"}
    kept = data.get("labels", {}) if labels is None else labels
    name = f"{named[_KIND].lower()}.{named[_NAME]}.{uid_of(last)[:8]}.deleted"
    final = {"spec": data["spec"], "labels": kept}
    return _stored(name, metadata["namespace"], named, change, final, int(last["revision"]) + 1)


def _stored(
    name: str, namespace: str, labels: dict[str, str], change: ChangeAuthor, data: Manifest, number: int
) -> Manifest:
    return {
        "apiVersion": "apps/v1",
        "kind": "ControllerRevision",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": {names.MANAGED_BY: names.MANAGER, **labels},
            "annotations": authored_by(change),
        },
        "data": data,
        "revision": number,
    }


def authored_by(change: ChangeAuthor) -> dict[str, str]:
    """Return the annotation of a revision that names its author."""
    return {_CHANGE: orjson.dumps(asdict(change)).decode()}


def without_owner(found: Manifest) -> Manifest:
    """Return the patch after which a revision of an earlier Tidegate outlives its document."""
    return {"metadata": {"ownerReferences": None, "labels": {_UID: uid_of(found)}}}


def has_owner(found: Manifest) -> bool:
    """Tell whether Kubernetes would delete a revision with its document."""
    return bool(found["metadata"].get("ownerReferences"))


def uid_of(found: Manifest) -> str:
    """Return the UID of the document of a revision; empty where the revision has none."""
    metadata = found["metadata"]
    owners = [owner["uid"] for owner in metadata.get("ownerReferences") or []]
    return str((metadata.get("labels") or {}).get(_UID) or next(iter(owners), ""))


def document_of(found: Manifest) -> ObjectKey:
    """Return the kind and name of the document of a revision; where it has no namespace, that of the revision."""
    labels = found["metadata"]["labels"]
    return ObjectKey(labels[_KIND], found["metadata"]["namespace"], labels[_NAME])


def is_deletion(found: Manifest) -> bool:
    """Tell whether a revision is the deletion of its document."""
    return _DELETION in (found["metadata"].get("labels") or {})


def outline(found: Manifest) -> Manifest:
    """Return a revision without what it holds of its document, and without who manages which field of it: of tens of
    thousands, that is most of the memory."""
    metadata = {name: value for name, value in found["metadata"].items() if name != "managedFields"}
    return {**{name: value for name, value in found.items() if name != "data"}, "metadata": metadata}


def ordered(found: Iterable[Manifest], uid: str) -> list[Manifest]:
    """Return the revisions of one document, the newest first."""
    own = [obj for obj in found if is_sound(obj) and uid_of(obj) == uid]
    return sorted(own, key=lambda obj: (is_deletion(obj), int(obj["revision"])), reverse=True)


def last_deleted(found: Iterable[Manifest], living: str) -> list[Manifest]:
    """Return the revisions of the document of a name that was deleted last, the newest first; not those of the one
    with the UID `living`."""
    gone = [obj for obj in found if is_sound(obj) and uid_of(obj) not in ("", living)]
    if not gone:
        return []
    last = max(gone, key=lambda obj: (is_deletion(obj), obj["metadata"].get("creationTimestamp") or ""))
    return ordered(gone, uid_of(last))


def is_sound(obj: Manifest) -> bool:
    """Tell whether a ControllerRevision is one of a document, as the manager writes it: others may write there too."""
    owners, labels = obj["metadata"].get("ownerReferences") or [], obj["metadata"].get("labels") or {}
    data = obj.get("data")
    return (
        isinstance(owners, list)
        and all(isinstance(owner, dict) and isinstance(owner.get("uid"), str) for owner in owners)
        and isinstance(labels, dict)
        and all(isinstance(labels.get(name), str) for name in (_KIND, _NAME))
        and type(obj.get("revision")) is int
        and isinstance(data, dict)
        and isinstance(data.get("spec"), dict)
    )


def surplus(newest_first: Sequence[Manifest]) -> Sequence[Manifest]:
    """Return the revisions that are not kept any more."""
    return newest_first[KEPT:]


def document_at(found: Manifest) -> Manifest:
    """Return what made a document what it was at a revision, as the body of a write."""
    labels = found["data"].get("labels")
    return {"spec": found["data"]["spec"], **({"metadata": {"labels": labels}} if labels else {})}


def line(found: Manifest, live: Manifest | None) -> Manifest:
    """Return a revision as a line of the history of a document, if it is there as `live`."""
    metadata = found["metadata"]
    change = _change(_loaded((metadata.get("annotations") or {}).get(_CHANGE))) or ChangeAuthor("an unknown client")
    now = (live["metadata"]["uid"], live["metadata"]["generation"]) if live else None
    return {
        "revision": int(found["revision"]),
        "at": metadata.get("creationTimestamp"),
        "by": change.by,
        "reason": change.reason,
        "ticket": change.ticket,
        "current": (uid_of(found), int(found["revision"])) == now and not is_deletion(found),
        "deletion": is_deletion(found),
    }


def difference(old: Manifest, new: Manifest) -> str:
    """Return what differs between two revisions' specs, as a unified diff."""
    before, after = (yaml_text([obj["data"]["spec"]]) for obj in (old, new))
    return unified(before, after, f"revision {old['revision']}", f"revision {new['revision']}")
