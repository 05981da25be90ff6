"""What is left to others of what is ours: fields that somebody else has set, by the policy of its tenant. Pure.

    repair    set back
    report    left, and told, until the document says something else of them
    adopt     left for good; of an object that was there before us as well

What is left is noted at the object, with the writer and a digest of what we wanted when it was noticed. Only what
`_MAY_DIFFER` lists can be left: the rest keeps tenants apart, counts replicas, or keeps cold ones out.
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
from istio_templates.gateway import hosts_of
from istio_templates.virtual_service import destinations_of, routes_of
from k8s_manager.comparing import Path, differences, is_merged, mark

NOTE = "tidegate.dev/conceded"
_OURS = "tidegate.dev/"
_CONTAINER = ("spec", "template", "spec", "containers", "*")
_MAY_DIFFER: dict[str, tuple[Path, ...]] = {
    "Gateway": (("spec", "servers"),),
    "VirtualService": (("spec", "http"), ("spec", "exportTo")),
    "DestinationRule": (("spec", "trafficPolicy"), ("spec", "exportTo")),
    "PodDisruptionBudget": (("spec", "minAvailable"), ("spec", "maxUnavailable")),
    "Deployment": (
        ("spec", "replicas"),
        ("spec", "strategy"),
        ("spec", "template", "metadata", "annotations"),
        *((*_CONTAINER, field) for field in ("image", "imagePullPolicy", "command", "args", "env", "resources")),
    ),
}


@dataclass(frozen=True, slots=True)
class Concession:
    """A field that is left to `by`, who had set it while we wanted what `was` is the digest of."""

    was: str
    by: str = ""


@dataclass(frozen=True, slots=True)
class Settled:
    """What to write: `obj`, without the fields that are `conceded`, and `surplus`, a merge patch that takes away what
    others have added. `set_back` are the fields of others that they lose. Nothing is to be written where `is_in_line`.
    """

    obj: Manifest
    conceded: dict[str, Concession]
    set_back: tuple[str, ...]
    surplus: Manifest
    is_in_line: bool


def settle(policy: Drift, wanted: Manifest, live: Manifest, drifted: bool) -> Settled:
    """Return what becomes of the differences between what we want and what there is.

    `drifted` says that we want just what we wanted when we last wrote, or that we have never written: then all
    differences are others' work. Otherwise those are that were noticed before.
    """
    noted = concessions(live)
    left: dict[Path, Concession] = {}
    back = []
    for path in differences(wanted, live):
        then, now = noted.get(_text(path)), Concession(_digest(_at(wanted, path)))
        is_theirs = (then is not None and (policy == "adopt" or then.was == now.was)) or (then is None and drifted)
        if policy != "repair" and is_theirs and _may_be_left(path, wanted, live):
            left[path] = then or now
        else:
            back.append(path)
    conceded = {_text(path): concession for path, concession in left.items()}
    added = [path for path in back if path[0] == "spec" and _at(wanted, path) is None]
    return Settled(
        obj=_noting(_without(wanted, left.keys()), conceded),
        conceded=conceded,
        set_back=tuple(_text(path) for path in back if path[0] == "spec"),
        surplus=_taking_away(added),
        is_in_line=not back and conceded == noted,
    )


def named(settled: Settled, live: Manifest) -> Settled:
    """Return the same with the writers of what is left, as the live object's managed fields name them."""
    conceded = {
        path: found if found.by else Concession(found.was, ", ".join(writers(live, path)) or "somebody")
        for path, found in settled.conceded.items()
    }
    return dataclasses.replace(settled, obj=_noting(settled.obj, conceded), conceded=conceded)


def concessions(live: Manifest) -> dict[str, Concession]:
    """Return what is noted at a live object, by field; a note that cannot be read is none."""
    try:
        noted = orjson.loads(live["metadata"].get("annotations", {}).get(NOTE, "{}"))
        return {path: Concession(str(found["was"]), str(found["by"])) for path, found in noted.items()}
    except (ValueError, TypeError, KeyError, AttributeError):
        return {}


def writers(live: Manifest, path: str = "") -> tuple[str, ...]:
    """Return who else has written to an object: those who hold a field, or all where nobody else does."""
    others = [
        entry
        for entry in live["metadata"].get("managedFields", [])
        if entry["manager"] != names.MANAGER and entry.get("subresource") != "status"
    ]
    holders = [entry for entry in others if path in map(_text, _held(entry.get("fieldsV1") or {}))]
    return tuple(sorted({entry["manager"] for entry in holders or others}))


def _held(fields: Manifest, above: Path = ()) -> Iterator[Path]:
    """Yield the fields that a manager holds, and those around them, from their form in `fieldsV1`."""
    for key, below in fields.items():
        kind, _, name = key.partition(":")
        if kind == "f":
            path = (*above, name)
        elif kind == "k":
            path = (*above, mark(orjson.loads(name)))
        else:
            continue
        yield path
        yield from _held(below, path)


def _may_be_left(path: Path, wanted: Manifest, live: Manifest) -> bool:
    """Tell whether a field is one that others may set, and whether they keep to what is the tenant's."""
    plain = tuple("*" if key.startswith("[") else key for key in path)
    if not any(plain[: len(prefix)] == prefix for prefix in _MAY_DIFFER.get(wanted["kind"], ())):
        return False
    if any(key.startswith(_OURS) for key in path):
        return False
    match wanted["kind"], path[1]:
        case "VirtualService", "http":
            return _is_plain(live) and _takes(wanted) == _takes(live) and _stays_inside(live)
        case "Gateway", _:
            return _serves_the_same(hosts_of(wanted), hosts_of(live))
    return True


def _is_plain(obj: Manifest) -> bool:
    """Tell whether a VirtualService matches by prefix and exact path only, which can be compared."""
    matches = [match for http in obj.get("spec", {}).get("http", []) for match in http.get("match") or [{}]]
    return all(match.get("uri", {}).keys() <= {"prefix", "exact"} and "ignoreUriCase" not in match for match in matches)


def _takes(obj: Manifest) -> set[tuple[str, frozenset[tuple[str, str]], str]]:
    """Return which requests a VirtualService takes."""
    return {(host, headers, path) for host, headers, path, _ in routes_of(obj)}


def _stays_inside(obj: Manifest) -> bool:
    """Tell whether a VirtualService sends requests to its own namespace only."""
    namespace = obj["metadata"]["namespace"]
    ends = ("", *(f".{namespace}{end}" for end in ("", ".svc", ".svc.cluster.local")))
    return all(host is not None and host.removeprefix(host.partition(".")[0]) in ends for host in destinations_of(obj))


def _serves_the_same(ours: Collection[str], theirs: Collection[str]) -> bool:
    """Tell whether others' servers serve all of our hosts, and nobody else's."""
    all_served = all(any(names.covers(their, our) for their in theirs) for our in ours)
    return all_served and all(any(names.covers(our, their) for our in ours) for their in theirs)


def _text(path: Path) -> str:
    return ".".join(path).replace(".[", "[")


def _digest(value: Any) -> str:
    return hashlib.sha256(orjson.dumps(value, option=orjson.OPT_SORT_KEYS)).hexdigest()[:12]


def _at(value: Any, path: Path) -> Any:
    """Return what stands at a path; None where nothing does."""
    for key in path:
        if isinstance(value, list):
            value = next((element for element in value if mark(element) == key), None)
        else:
            value = value.get(key) if isinstance(value, dict) else None
    return value


def _without(value: Any, gone: Collection[Path], path: Path = ()) -> Any:
    if isinstance(value, dict):
        below = {key: (*path, key) for key in value}
        return {key: _without(value[key], gone, below[key]) for key in value if below[key] not in gone}
    if is_merged(path, value):
        return [_without(element, gone, (*path, mark(element))) for element in value]
    return value


def _noting(obj: Manifest, conceded: dict[str, Concession]) -> Manifest:
    annotations = {name: text for name, text in obj["metadata"].get("annotations", {}).items() if name != NOTE}
    if conceded:
        noted = {path: dataclasses.asdict(found) for path, found in conceded.items()}
        annotations[NOTE] = orjson.dumps(noted, option=orjson.OPT_SORT_KEYS).decode()
    return {**obj, "metadata": {**obj["metadata"], "annotations": annotations}}


def _taking_away(paths: Collection[Path]) -> Manifest:
    patch: Manifest = {}
    for path in paths:
        inside = patch
        for key in path[:-1]:
            inside = inside.setdefault(key, {})
        inside[path[-1]] = None
    return patch
