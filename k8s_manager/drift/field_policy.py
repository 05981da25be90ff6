"""What is left to others of what is ours: fields that somebody else has set, by the policy of its tenant. Pure.

    repair    set back
    report    left, and told, until the document says something else of them
    adopt     left for good; of an object that was there before us as well

What is left is noted at the object, with the writer and a digest of what we wanted when it was noticed. Only some
fields can be left (`leavable`).
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
from k8s_manager.drift.adoptable_fields import may_be_left
from k8s_manager.drift.compare import KEYS, Path, differences, is_merged, mark

NOTE = "tidegate.dev/conceded"
_NOTED: Path = ("metadata", "annotations", NOTE)
_LONGEST = 100
_ELEMENT = "[name="


@dataclass(frozen=True, slots=True)
class KeptEdit:
    """A field that is left to `by`, who had set it while we wanted what `was` is the digest of."""

    was: str
    by: str = ""


@dataclass(frozen=True, slots=True)
class DriftResolution:
    """What to write: first `surplus`, a merge patch that takes away what others have `added` and might exclude ours,
    then `obj`, without the fields that are `conceded`. `set_back` are the fields of others that they lose. Nothing is
    to be written where `is_in_line`."""

    obj: Manifest
    conceded: dict[str, KeptEdit]
    set_back: tuple[str, ...]
    surplus: Manifest
    added: tuple[str, ...]
    is_in_line: bool


def settle(policy: Drift, wanted: Manifest, live: Manifest, drifted: bool) -> DriftResolution:
    """Return what becomes of the differences between what we want and what there is.

    `drifted` says that we want just what we wanted when we last wrote, or that we have never written: then all
    differences are others' work. Otherwise those are that were noticed before.
    """
    noted = concessions(live)
    left: dict[Path, KeptEdit] = {}
    back = []
    for path in differences(wanted, live):
        then, now = noted.get(_text(path)), KeptEdit(_digest(_at(wanted, path)))
        is_theirs = (then is not None and (policy == "adopt" or then.was == now.was)) or (then is None and drifted)
        if policy != "repair" and is_theirs and may_be_left(path, wanted, live):
            left[path] = then or now
        else:
            back.append(path)
    conceded = {_text(path): concession for path, concession in left.items()}
    added = [path for path in back if path[0] == "spec" and _at(wanted, path) is None]
    stale = [_NOTED] if NOTE in annotations_of(live) and not conceded else []
    return DriftResolution(
        obj=_noting(_without(wanted, left.keys()), conceded),
        conceded=conceded,
        set_back=tuple(map(_text, back)),
        surplus=_taking_away([*added, *stale]),
        added=tuple(map(_text, added)),
        is_in_line=not back and not stale and conceded == noted,
    )


def named(settled: DriftResolution, live: Manifest) -> DriftResolution:
    """Return the same with the writers of what is left, as the live object's managed fields name them."""
    conceded = {
        path: found if found.by else KeptEdit(found.was, ", ".join(writers(live, path)) or "somebody")
        for path, found in settled.conceded.items()
    }
    return dataclasses.replace(settled, obj=_noting(settled.obj, conceded), conceded=conceded)


def concessions(live: Manifest) -> dict[str, KeptEdit]:
    """Return what is noted at a live object, by field; a note that cannot be read is none.

    Whoever may change the object may write there: it can name a writer, and no field beyond those that may be left.
    """
    try:
        noted = orjson.loads(annotations_of(live).get(NOTE, "{}"))
        return {path: KeptEdit(str(found["was"]), str(found["by"])[:_LONGEST]) for path, found in noted.items()}
    except (ValueError, TypeError, KeyError, AttributeError):
        return {}


def annotations_of(obj: Manifest) -> dict[str, str]:
    """Return the annotations of an object."""
    return obj["metadata"].get("annotations") or {}


def unnoted(live: Manifest) -> Manifest:
    """Return an object that is not ours yet without a note, which then is not ours either."""
    return _noting(live, {})


def writers(live: Manifest, path: str = "") -> tuple[str, ...]:
    """Return who else has written to an object: those who hold a field, or all where nobody else does."""
    others = [
        entry
        for entry in live["metadata"].get("managedFields", [])
        if entry.get("manager") != names.MANAGER and entry.get("subresource") != "status"
    ]
    holders = [entry for entry in others if path in map(_text, _held(entry.get("fieldsV1") or {}))]
    return tuple(sorted({str(entry.get("manager", "somebody")) for entry in holders or others}))


def _held(fields: Manifest, above: Path = ()) -> Iterator[Path]:
    """Yield the fields that a manager holds, and those around them, from their form in `fieldsV1`."""
    for key, below in fields.items():
        kind, _, name = key.partition(":")
        if kind == "f":
            path = (*above, name)
        elif kind == "k":
            path = (*above, mark(orjson.loads(name), above[-1]) if above[-1:] and above[-1] in KEYS else key)
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
            value = next((element for element in value if mark(element, above) == key), None)
        else:
            value = value.get(key) if isinstance(value, dict) else None
    return value


def _without(value: Any, gone: Collection[Path], path: Path = ()) -> Any:
    if isinstance(value, dict):
        below = {key: (*path, key) for key in value}
        return {key: _without(value[key], gone, below[key]) for key in value if below[key] not in gone}
    if is_merged(path, value):
        places = [(*path, mark(element, path[-1])) for element in value]
        return [_without(element, gone, at) for element, at in zip(value, places, strict=True) if at not in gone]
    return value


def _noting(obj: Manifest, conceded: dict[str, KeptEdit]) -> Manifest:
    annotations = {name: text for name, text in annotations_of(obj).items() if name != NOTE}
    if conceded:
        noted = {path: dataclasses.asdict(found) for path, found in conceded.items()}
        annotations[NOTE] = orjson.dumps(noted, option=orjson.OPT_SORT_KEYS).decode()
    return {**obj, "metadata": {**obj["metadata"], "annotations": annotations}}


def _taking_away(paths: Collection[Path]) -> Manifest:
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
    found = next((element for element in elements if mark(element) == key), None)
    if found is None:
        elements.append(found := {"name": key.removeprefix(_ELEMENT).removesuffix("]")})
    return found
