"""Who made an object: Tidegate, or another writer whose object has the same name. Pure.

Server-side apply reports a conflict only where a field differs. An object of another writer in which none does, such as
a Service with one more port, would be taken over without a word and deleted with the document.
"""

from istio_templates import names
from istio_templates.facts import Manifest
from k8s_manager.drift.field_policy import UNKNOWN, writers_of
from k8s_manager.kube.errors import ForeignObject
from k8s_manager.world.owner import owner_of

SHARED = ("Namespace",)  # kinds of which one object holds what several writers make


def is_made_by_us(live: Manifest) -> bool:
    """Tell whether Tidegate has applied an object.

    For objects without any managed fields, since some restores remove them, the labels decide.
    """
    entries = [entry for entry in live["metadata"].get("managedFields") or [] if entry.get("manager")]
    if not entries:
        return names.is_marked(live)
    return any(entry["manager"] == names.MANAGER and entry.get("subresource") != "status" for entry in entries)


def belongs(live: Manifest, wanted: Manifest) -> bool:
    """Tell whether an object carries the mark of the document from which `wanted` was rendered: also what a tool has
    applied from a Git tree."""
    return names.is_marked(live) and owner_of(live["metadata"]["labels"]) == owner_of(wanted["metadata"]["labels"])


def is_foreign(live: Manifest, wanted: Manifest) -> bool:
    """Tell whether an object that is there already is another writer's, which Tidegate must not write."""
    return not (live["kind"] in SHARED or belongs(live, wanted) or is_made_by_us(live))


def reject_foreign(live: Manifest, wanted: Manifest) -> None:
    """Raise `ForeignObject` for an object that is there already and was not made by Tidegate."""
    if is_foreign(live, wanted):
        raise ForeignObject(names.key_of(live), writers_of(live) or (UNKNOWN,))
