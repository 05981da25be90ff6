"""Comparison of a live object with the desired one. Pure.

Only fields that the manager sets count, with two exceptions: Istio's kinds, whose spec no API server completes with
defaults, and fields that exclude one that the manager sets. There a field that others have added is a difference too.
"""

from collections.abc import Iterator
from typing import Any

from istio_templates.facts import Manifest
from istio_templates.quantity import is_same_quantity

EXACT = ("Gateway", "VirtualService", "DestinationRule", "EnvoyFilter", "Telemetry")
Path = tuple[str, ...]  # of keys; an element of a list whose elements are merged is `[name=...]`
KEYS = {
    "containers": ("name",),
    "initContainers": ("name",),
    "env": ("name",),
    "volumes": ("name",),
    "volumeMounts": ("mountPath",),
    "ports": ("port", "containerPort", "protocol"),
}
_DEFAULTS = {"protocol": "TCP"}
_WHOLE = ("valueFrom",)  # what is in it is atomic to an API server
_ATOMIC = ("selector", "podSelector", "matchLabels")  # one label more selects other pods
_ORDERED = ("initContainers",)
_QUANTITIES = frozenset(("limits", "requests", "sizeLimit", "divisor"))  # here `1000m` and `1` are the same
_EXCLUDING = ({"minAvailable", "maxUnavailable"}, {"value", "valueFrom"})


def is_in_line(wanted: Manifest, live: Manifest) -> bool:
    """Tell whether a live object is as desired."""
    if wanted["kind"] in EXACT:
        return bool(wanted["spec"] == live.get("spec")) and _is_within(wanted["metadata"], live["metadata"])
    return next(differences(wanted, live), None) is None


def differences(wanted: Manifest, live: Manifest) -> Iterator[Path]:
    """Yield the outermost fields that differ from the desired ones."""
    exact = wanted["kind"] in EXACT
    for key, value in wanted.items():
        yield from _differ(value, live.get(key), exact and key == "spec", (key,))


def element_key(element: Any, field: str = "env") -> str:
    """Return the key, in a path, of an element of a list whose elements an API server merges."""
    found = {key: element.get(key, _DEFAULTS.get(key)) for key in KEYS[field]}
    return f"[{','.join(f'{key}={value}' for key, value in found.items() if value is not None)}]"


def is_merged(path: Path, value: Any) -> bool:
    """Tell whether a field is a list of a built-in kind whose elements are merged; a malformed one is left to the API
    server to reject."""
    is_list = path[-1:] != () and path[-1] in KEYS and isinstance(value, list)
    return is_list and all(isinstance(element, dict) for element in value)


def _differ(wanted: Any, live: Any, exact: bool, path: Path) -> Iterator[Path]:
    if path[-1] in _ATOMIC and not exact:
        yield from () if wanted == live else (path,)
    elif isinstance(wanted, dict) and isinstance(live, dict) and path[-1] not in _WHOLE:
        for key, value in wanted.items():
            if key in live:
                yield from _differ(value, live[key], exact, (*path, key))
            elif exact or not _is_left_out(value):
                yield (*path, key)
        yield from ((*path, key) for key in live if key not in wanted and (exact or _is_excluded(key, wanted)))
    elif not exact and is_merged(path, wanted) and is_merged(path, live):
        there = {element_key(element, path[-1]): element for element in live}
        ours = [element_key(element, path[-1]) for element in wanted]
        if path[-1] in _ORDERED and [found for found in there if found in ours] != ours:
            yield path
            return
        for element in wanted:
            below = (*path, element_key(element, path[-1]))
            yield from _differ(element, there[below[-1]], exact, below) if below[-1] in there else (below,)
    elif not (wanted == live if exact else _is_within(wanted, live, not _QUANTITIES.isdisjoint(path[-2:]))):
        yield path


def _is_within(wanted: object, live: object, is_quantity: bool = False) -> bool:
    if isinstance(wanted, dict):
        return isinstance(live, dict) and all(
            (_is_left_out(v) and k not in live)
            or (v == live.get(k) if k in _ATOMIC else _is_within(v, live.get(k), is_quantity or k in _QUANTITIES))
            for k, v in wanted.items()
        )
    if isinstance(wanted, list):
        return isinstance(live, list) and len(wanted) == len(live) and all(map(_is_within, wanted, live))
    return wanted == live or (is_quantity and is_same_quantity(wanted, live))


def _is_left_out(value: object) -> bool:
    """Tell whether an API server leaves a value out when it stores an object."""
    return not value


def _is_excluded(key: str, wanted: Manifest) -> bool:
    """Tell whether a field excludes one that the manager sets."""
    return any(key in fields and not fields.isdisjoint(wanted) for fields in _EXCLUDING)
