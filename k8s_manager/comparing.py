"""Where a live object differs from what we want. Pure.

Only fields that we set count, but for Istio's kinds: nobody completes their spec with defaults, so there what somebody
has added is a difference as well.
"""

from collections.abc import Iterator
from typing import Any

from istio_templates.facts import Manifest
from istio_templates.quantity import quantity

EXACT = ("Gateway", "VirtualService", "DestinationRule", "EnvoyFilter")
Path = tuple[str, ...]  # of keys; an element of a list that is merged by name is `[name=...]`
_MERGED_BY_NAME = ("containers", "env")


def in_line(wanted: Manifest, live: Manifest) -> bool:
    """Tell whether every field that we set is in the live object as we set it."""
    if wanted["kind"] in EXACT:
        return bool(wanted["spec"] == live.get("spec")) and _is_within(wanted["metadata"], live["metadata"])
    return _is_within(wanted, live)


def differences(wanted: Manifest, live: Manifest) -> Iterator[Path]:
    """Yield the outermost fields that are not as we want them."""
    exact = wanted["kind"] in EXACT
    for key, value in wanted.items():
        yield from _differ(value, live.get(key), exact and key == "spec", (key,))


def mark(element: Any) -> str:
    """Return how an element of a list that is merged by name stands in a path."""
    return f"[name={element.get('name', '')}]"


def is_merged(path: Path, value: Any) -> bool:
    """Tell whether a field is a list whose elements are merged by name."""
    return path[-1:] != () and path[-1] in _MERGED_BY_NAME and isinstance(value, list)


def _differ(wanted: Any, live: Any, exact: bool, path: Path) -> Iterator[Path]:
    if isinstance(wanted, dict) and isinstance(live, dict):
        for key, value in wanted.items():
            if key in live:
                yield from _differ(value, live[key], exact, (*path, key))
            elif exact or not _is_left_out(value):
                yield (*path, key)
        yield from ((*path, key) for key in live if exact and key not in wanted)
    elif is_merged(path, wanted) and isinstance(live, list) and set(map(mark, wanted)) == set(map(mark, live)):
        there = {mark(element): element for element in live}
        for element in wanted:
            yield from _differ(element, there[mark(element)], exact, (*path, mark(element)))
    elif not (wanted == live if exact else _is_within(wanted, live)):
        yield path


def _is_within(wanted: object, live: object) -> bool:
    if isinstance(wanted, dict):
        return isinstance(live, dict) and all(
            (_is_left_out(v) and k not in live) or _is_within(v, live.get(k)) for k, v in wanted.items()
        )
    if isinstance(wanted, list):
        return isinstance(live, list) and len(wanted) == len(live) and all(map(_is_within, wanted, live))
    return wanted == live or (quantity(wanted) is not None and quantity(wanted) == quantity(live))


def _is_left_out(value: object) -> bool:
    """Tell whether an API server leaves a value out when it stores an object."""
    return not value
