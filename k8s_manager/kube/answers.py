"""What answers of the API server have to be, checked where they come in. Pure.

A proxy in between, a server that is ending, or a foreign one answers 200 with a page, half an object, or the object of
another name. Such an answer is one that did not come: the call is made again.
"""

from typing import Any

from istio_templates.facts import Manifest, ObjectKey
from k8s_manager.kube.errors import Unavailable, error_of
from k8s_manager.kube.resources import RESOURCES, Resource

_IDENTITY = ("name", "resourceVersion", "uid")


def object_in(content: Any, what: str, key: ObjectKey, is_stored: bool = True) -> Manifest:
    """Return the object in an answer; raises `Unavailable` where it is not the one that was asked for. One that was
    only tried has no version."""
    obj = mapping_in(content, what)
    if not is_object(obj, _IDENTITY if is_stored else ("name",)) or (obj.get("kind", key.kind), _place(obj)) != (
        key.kind,
        (key.namespace, key.name),
    ):
        raise _odd(what, "it is not that object")
    return obj


def made_in(content: Any, what: str, kind: str) -> Manifest:
    """Return an object that was created; a review has no name. Raises `Unavailable`."""
    made = mapping_in(content, what)
    if made.get("kind", kind) != kind or not isinstance(made.get("metadata", {}), dict):
        raise _odd(what, f"it is no {kind}")
    return made


def page_in(content: Any, what: str, resource: Resource) -> tuple[list[Manifest], str, str]:
    """Return the objects of a page of a list, its resourceVersion and the token of the next page; raises `Unavailable`.
    An item that is no object is left out."""
    page = mapping_in(content, what)
    items, metadata = page.get("items", False), page.get("metadata")
    version = metadata.get("resourceVersion") if isinstance(metadata, dict) else None
    if not (items is None or isinstance(items, list)) or not isinstance(version, str) or not version:
        raise _odd(what, "it is no list")
    assert isinstance(metadata, dict)
    found = []
    for item in items or []:
        if is_object(item):
            item["kind"] = resource.kind
            item.setdefault("apiVersion", resource.group_version)
            found.append(item)
    following = metadata.get("continue") or ""
    return found, version, following if isinstance(following, str) else ""


def event_in(event: Any, what: str) -> tuple[str, Manifest]:
    """Return the type and the object of a watch event.

    Raises the error of an event of type ERROR, `Unavailable` for one that cannot be read.
    """
    if not isinstance(event, dict) or not isinstance(obj := event.get("object"), dict):
        raise _odd(what, "it is no event")
    kind = event.get("type")
    if kind == "ERROR":
        code = obj.get("code")
        raise error_of(code if isinstance(code, int) else 500, obj, what)
    metadata = obj.get("metadata")
    if kind == "BOOKMARK" and isinstance(metadata, dict) and isinstance(metadata.get("resourceVersion"), str):
        return kind, obj
    if kind not in ("ADDED", "MODIFIED", "DELETED") or not is_object(obj):
        raise _odd(what, "its event is no object")
    return kind, obj


def deleted_in(content: Any, what: str) -> None:
    """Check that an object was deleted, or is being: its last state, or a Status, is the answer. Raises
    `Unavailable`."""
    answer = mapping_in(content, what)
    if answer.get("kind") != "Status" and not is_object(answer):
        raise _odd(what, "it is neither the object nor a Status")


def is_object(obj: Any, identity: tuple[str, ...] = _IDENTITY) -> bool:
    """Tell whether something has what every stored object has."""
    metadata = obj.get("metadata") if isinstance(obj, dict) else None
    if not isinstance(metadata, dict) or not isinstance(metadata.get("namespace", ""), str):
        return False
    if obj.get("kind", "Pod") not in RESOURCES:
        return False
    return all(isinstance(metadata.get(name), str) and metadata[name] for name in identity)


def mapping_in(content: Any, what: str) -> dict[str, Any]:
    """Return an answer that is a JSON object; raises `Unavailable`."""
    if not isinstance(content, dict):
        raise _odd(what, "it is no JSON object")
    return content


def _place(obj: Manifest) -> tuple[str, str]:
    return obj["metadata"].get("namespace", ""), obj["metadata"]["name"]


def _odd(what: str, said: str) -> Unavailable:
    return Unavailable(f"{what}: the API server's answer cannot be used, {said}; it is tried again")
