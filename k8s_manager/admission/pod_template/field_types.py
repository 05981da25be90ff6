"""The types of a PodTemplateSpec's fields, and the keys of its lists, as the API server of Kubernetes has them. Pure.

Server-side apply takes no field that it does not know, and no list with two elements of one key.
"""

import json
from collections.abc import Iterator
from difflib import get_close_matches
from functools import cache
from importlib import resources
from typing import Any

from istio_templates.quantity import quantity
from k8s_manager.admission.pod_template.violation import Place, Violation

VERSION = "1.34"
_SIZES = {"int32": 2**31, "int64": 2**63}
_MAY_BE_EMPTY = ("value",)
_KEY_DEFAULTS = {"protocol": "TCP"}


@cache
def _definitions() -> dict[str, Any]:
    text = resources.files("istio_templates").joinpath("schemas", f"kubernetes-{VERSION}.json").read_text()
    found: dict[str, Any] = json.loads(text)
    return found


def check_types(template: Any) -> Iterator[Violation]:
    """Yield the fields of a pod template that are unknown, missing, of another type, or twice in a list."""
    yield from _check(template, {"ref": "PodTemplateSpec"}, ())


def _check(value: Any, wanted: dict[str, Any], place: Place) -> Iterator[Violation]:
    if "ref" in wanted:
        yield from _check(value, _definitions()[wanted["ref"]], place)
    elif "properties" in wanted:
        yield from _fields(value, wanted, place)
    elif wanted["type"] == "array":
        yield from _elements(value, wanted, place)
    elif "values" in wanted:
        if not isinstance(value, dict):
            yield place, f"{value!r} is no mapping; write names with values"
            return
        for name, inner in value.items():
            yield from _check(inner, wanted["values"], (*place, name))
    elif message := _scalar(value, wanted):
        yield place, message


def _fields(value: Any, wanted: dict[str, Any], place: Place) -> Iterator[Violation]:
    if not isinstance(value, dict):
        yield place, f"{value!r} is no mapping; write fields with values"
        return
    for name, inner in value.items():
        if name in wanted["properties"]:
            yield from _check(inner, wanted["properties"][name], (*place, name))
        else:
            yield (*place, name), f"is unknown to Kubernetes {VERSION}; {_nearest(name, wanted['properties'])}"
    for name in wanted["required"]:
        if name not in value and name not in _MAY_BE_EMPTY:
            yield (*place, name), "is missing; it is required"
        elif value.get(name) == "" and name not in _MAY_BE_EMPTY:
            yield (*place, name), "is empty; give a value"


def _elements(value: Any, wanted: dict[str, Any], place: Place) -> Iterator[Violation]:
    if not isinstance(value, list):
        yield place, f"{value!r} is no list; write one"
        return
    seen: dict[str, int] = {}
    for number, inner in enumerate(value):
        yield from _check(inner, wanted["items"], (*place, number))
        if "list-map-keys" not in wanted:
            continue
        key = _key(inner, wanted["list-map-keys"])
        if key in seen:
            yield (*place, number), f"has the same {_named(wanted)} as element {seen[key]}; keep one"
        seen.setdefault(key, number)


def _key(element: Any, fields: list[str]) -> str:
    if not isinstance(element, dict):
        return repr(element)
    return repr([element.get(field, _KEY_DEFAULTS.get(field, "")) for field in fields])


def _named(wanted: dict[str, Any]) -> str:
    return " and ".join(wanted["list-map-keys"]) or "value"


def _scalar(value: Any, wanted: dict[str, Any]) -> str | None:
    kind = wanted["type"]
    if kind == "string":
        if not isinstance(value, str):
            return f"{value!r} is no text; quote it"
        if value and value not in wanted.get("enum", (value,)):
            return f"{value!r} is not allowed; choose one of {', '.join(wanted['enum'])}"
        return None
    if kind == "boolean":
        return None if isinstance(value, bool) else f"{value!r} is not true or false; write one of them, without quotes"
    if kind == "quantity":
        return None if quantity(value) is not None else f"{value!r} is no quantity; write one such as 500m, 2 or 8Gi"
    if kind == "int-or-string" and isinstance(value, str):
        return None
    if kind in ("integer", "int-or-string"):
        return _whole(value, _SIZES[wanted.get("format", "int32")])
    return None if isinstance(value, dict) else f"{value!r} is no mapping; write fields with values"


def _whole(value: Any, size: int) -> str | None:
    if isinstance(value, bool) or not isinstance(value, int):
        return f"{value!r} is no whole number; write one, without quotes"
    return None if -size <= value < size else f"{value} is out of range; give less than {size}"


def _nearest(name: str, known: dict[str, Any]) -> str:
    close = get_close_matches(str(name), known, n=1, cutoff=0.6)
    return f"did you mean {close[0]}?" if close else "remove it"
