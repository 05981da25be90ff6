"""A workload's short fields and the container `model` of its podTemplate, made one by Kubernetes' own list keys.

Variables are known by name, requests and limits by resource, claims by name. What both say alike appears once; what
they say differently about the same key is a conflict that its author decides, since either could be the right one.
"""

from collections.abc import Iterator
from typing import Any

from istio_templates.facts import Manifest
from istio_templates.quantity import is_same_quantity

WHOLE = ("image", "command", "args")
"""Fields that cannot be parted: both give the same, or only one gives it."""
_AMOUNTS = ("limits", "requests")
Difference = tuple[str, str, str]
"""A path in the short fields, the path in the container that says something else, and what both are about."""


def merged(container: Manifest, short: Manifest) -> Manifest:
    """Return the container with the short fields; where they differ, those win."""
    out = {**container, **{field: short[field] for field in WHOLE if short.get(field)}}
    if short.get("env"):
        out["env"] = _by_name(container.get("env"), short["env"])
    if short.get("resources"):
        out["resources"] = _resources(_mapping(container.get("resources")), short["resources"])
    return out


def _resources(given: Manifest, short: Manifest) -> Manifest:
    out = {**given, **short}
    for field in _AMOUNTS:
        if given.get(field) and isinstance(short.get(field), dict):
            out[field] = {**_mapping(given[field]), **short[field]}
    if given.get("claims") and short.get("claims"):
        out["claims"] = _by_name(given["claims"], short["claims"])
    return out


def _by_name(given: Any, short: Any) -> list[Any]:
    """Return a list's items but for those that the other list names too, and then that list's."""
    ours = list(short) if isinstance(short, list) else [short]
    names = {_name(item) for _, item in _named(ours)}
    return [*(item for _, item in _named(given) if _name(item) not in names), *ours]


def differences(container: Manifest, short: Manifest) -> Iterator[Difference]:
    """Yield what the short fields and the container say differently about the same."""
    for field in WHOLE:
        if short.get(field) and container.get(field) and short[field] != container[field]:
            yield field, field, field
    yield from _differ("env", container.get("env"), short.get("env"))
    given, ours = _mapping(container.get("resources")), _mapping(short.get("resources"))
    for field in _AMOUNTS:
        here = _mapping(given.get(field))
        for name, amount in _mapping(ours.get(field)).items():
            if here.get(name) not in (None, amount) and not is_same_quantity(here[name], amount):
                path = f"resources.{field}.{name}"
                yield path, path, str(name)
    yield from _differ("resources.claims", given.get("claims"), ours.get("claims"))


def _differ(field: str, given: Any, short: Any) -> Iterator[Difference]:
    there = {_name(item): (number, item) for number, item in _named(given)}
    for number, item in _named(short):
        place, other = there.get(_name(item), (0, item))
        if other != item:
            yield f"{field}[{number}]", f"{field}[{place}]", _name(item)


def _named(value: Any) -> Iterator[tuple[int, Manifest]]:
    items = value if isinstance(value, list) else ()
    return ((number, item) for number, item in enumerate(items) if isinstance(item, dict))


def _name(item: Manifest) -> str:
    return str(item.get("name"))


def _mapping(value: Any) -> Manifest:
    return value if isinstance(value, dict) else {}
