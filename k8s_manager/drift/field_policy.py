"""Which edits of others the manager keeps in its objects, by the drift policy of the tenant. Pure.

    repair    every edit is set back
    report    edits are kept and reported until the document changes the same fields
    adopt     edits are kept for good, also those of an object that existed before Tidegate

A kept edit is noted in an annotation of the object, with its writer and a digest of the desired value when it was
noticed. Only some fields can be kept (`adoptable_fields`).
"""

import dataclasses
import hashlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

import orjson

from istio_templates import names
from istio_templates.documents.tenant import Drift
from istio_templates.facts import Manifest
from k8s_manager.drift.adoptable_fields import is_adoptable
from k8s_manager.drift.compare import KEYS, Path, differences, element_key, is_merged
from k8s_manager.drift.handover import HANDOVER

NOTE = "tidegate.dev/conceded"
_NOTED: Path = ("metadata", "annotations", NOTE)
_LONGEST = 100
UNKNOWN = "an unknown writer"
_ELEMENT = "[name="


@dataclass(frozen=True, slots=True)
class KeptEdit:
    """A field as its writer `by` has set it; `was` is the digest of the value that was desired then."""

    was: str
    by: str = ""


@dataclass(frozen=True, slots=True)
class DriftResolution:
    """What to write: first `surplus`, a merge patch that removes fields that others have `added` and that might exclude
    desired ones, then `obj`, without the fields of `kept` edits. `set_back` are the edits that are lost. Nothing has to
    be written where `is_in_line`."""

    obj: Manifest
    kept: dict[str, KeptEdit]
    set_back: tuple[str, ...]
    surplus: Manifest
    added: tuple[str, ...]
    is_in_line: bool


def resolve(policy: Drift, wanted: Manifest, live: Manifest, drifted: bool) -> DriftResolution:
    """Return how the differences between a desired and a live object are resolved.

    With `drifted`, the desired object is the one that was last written, or none was: then every difference is an edit
    of another writer. Otherwise only the edits that were noted before are.
    """
    noted = kept_edits(live)
    left: dict[Path, KeptEdit] = {}
    back = []
    for path in differences(wanted, live):
        then, now = noted.get(_text(path)), KeptEdit(_digest(_at(wanted, path)))
        is_theirs = (then is not None and (policy == "adopt" or then.was == now.was)) or (then is None and drifted)
        if policy != "repair" and is_theirs and is_adoptable(path, wanted, live):
            left[path] = then or now
        else:
            back.append(path)
    kept = {_text(path): edit for path, edit in left.items()}
    added = [path for path in back if path[0] == "spec" and _at(wanted, path) is None]
    stale = [_NOTED] if NOTE in annotations_of(live) and not kept else []
    return DriftResolution(
        obj=_with_note(_without(wanted, left.keys()), kept),
        kept=kept,
        set_back=tuple(map(_text, back)),
        surplus=_removal_of([*added, *stale]),
        added=tuple(map(_text, added)),
        is_in_line=not back and not stale and kept == noted,
    )


def name_writers(resolution: DriftResolution, live: Manifest) -> DriftResolution:
    """Return a resolution with the writers of kept edits, as the managed fields of the live object name them."""
    kept = {
        path: edit if edit.by else KeptEdit(edit.was, ", ".join(writers_of(live, path)) or UNKNOWN)
        for path, edit in resolution.kept.items()
    }
    return dataclasses.replace(resolution, obj=_with_note(resolution.obj, kept), kept=kept)


def kept_edits(live: Manifest) -> dict[str, KeptEdit]:
    """Return the kept edits that are noted at a live object, by field; a note that cannot be read counts as none.

    Every writer of the object can change the note: it can name a writer, but keep no field that is not adoptable.
    """
    try:
        noted = orjson.loads(annotations_of(live).get(NOTE, "{}"))
        return {path: KeptEdit(str(found["was"]), str(found["by"])[:_LONGEST]) for path, found in noted.items()}
    except (ValueError, TypeError, KeyError, AttributeError):
        return {}


def annotations_of(obj: Manifest) -> dict[str, str]:
    """Return the annotations of an object."""
    return obj["metadata"].get("annotations") or {}


def without_note(live: Manifest) -> Manifest:
    """Return an object that Tidegate has not written yet without a note, which then is another writer's as well."""
    return _with_note(live, {})


def writers_of(live: Manifest, path: str = "") -> tuple[str, ...]:
    """Return the other writers of an object: those that hold a field, or all of them where no one holds it."""
    others = [
        entry
        for entry in live["metadata"].get("managedFields", [])
        if entry.get("manager") not in (names.MANAGER, HANDOVER) and entry.get("subresource") != "status"
    ]
    holders = [entry for entry in others if path in map(_text, _held(entry.get("fieldsV1") or {}))]
    return tuple(sorted({str(entry.get("manager", UNKNOWN)) for entry in holders or others}))


def _held(fields: Manifest, above: Path = ()) -> Iterator[Path]:
    """Yield the fields that a manager holds, and those around them, from their form in `fieldsV1`."""
    for key, below in fields.items():
        kind, _, name = key.partition(":")
        if kind == "f":
            path = (*above, name)
        elif kind == "k":
            path = (*above, element_key(orjson.loads(name), above[-1]) if above[-1:] and above[-1] in KEYS else key)
        else:
            continue
        yield path
        yield from _held(below, path)


def _text(path: Path) -> str:
    return ".".join(path).replace(".[", "[")


def _digest(value: Any) -> str:
    return hashlib.sha256(orjson.dumps(value, option=orjson.OPT_SORT_KEYS)).hexdigest()[:12]


def _at(value: Any, path: Path) -> Any:
    """Return what stands at a path; None where nothing does."""
    for above, key in zip(("", *path), path, strict=False):
        if isinstance(value, list):
            value = next((element for element in value if element_key(element, above) == key), None)
        else:
            value = value.get(key) if isinstance(value, dict) else None
    return value


def _without(value: Any, gone: Collection[Path], path: Path = ()) -> Any:
    if isinstance(value, dict):
        below = {key: (*path, key) for key in value}
        return {key: _without(value[key], gone, below[key]) for key in value if below[key] not in gone}
    if is_merged(path, value):
        places = [(*path, element_key(element, path[-1])) for element in value]
        return [_without(element, gone, at) for element, at in zip(value, places, strict=True) if at not in gone]
    return value


def _with_note(obj: Manifest, kept: dict[str, KeptEdit]) -> Manifest:
    annotations = {name: text for name, text in annotations_of(obj).items() if name != NOTE}
    if kept:
        noted = {path: dataclasses.asdict(found) for path, found in kept.items()}
        annotations[NOTE] = orjson.dumps(noted, option=orjson.OPT_SORT_KEYS).decode()
    return {**obj, "metadata": {**obj["metadata"], "annotations": annotations}}


def _removal_of(paths: Collection[Path]) -> Manifest:
    """Return a merge patch without some fields; in elements of lists a strategic one."""
    patch: Manifest = {}
    for path in paths:
        inside: Any = patch
        for key, below in zip(path, (*path[1:], ""), strict=True):
            if not below:
                inside[key] = None
            elif key.startswith(_ELEMENT):
                inside = _element(inside, key)
            else:
                inside = inside.setdefault(key, [] if below.startswith(_ELEMENT) else {})
    return patch


def _element(elements: list[Manifest], key: str) -> Manifest:
    found = next((element for element in elements if element_key(element) == key), None)
    if found is None:
        elements.append(found := {"name": key.removeprefix(_ELEMENT).removesuffix("]")})
    return found
