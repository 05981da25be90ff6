"""Label and field selectors, as Kubernetes writes them."""

import re
from collections.abc import Callable
from typing import Any

from k8s_manager.standalone.apiserver.errors import ApiError

Object = dict[str, Any]
_SET_BASED = re.compile(r"^\s*(\S+)\s+(in|notin)\s+\(([^)]*)\)\s*$")


def matcher(labels: str, fields: str) -> Callable[[Object], bool]:
    """Return a function that decides whether an object is selected; raises 400 where a selector is broken."""
    tests = [_label_test(part) for part in _parts(labels)] + [_field_test(part) for part in _parts(fields)]
    return lambda obj: all(test(obj) for test in tests)


def _parts(selector: str) -> list[str]:
    return [part.strip() for part in re.split(r",(?![^(]*\))", selector) if part.strip()]


def _labels(obj: Object) -> dict[str, str]:
    return obj["metadata"].get("labels") or {}


def _label_test(part: str) -> Callable[[Object], bool]:
    if found := _SET_BASED.match(part):
        key, operator, values = found[1], found[2], {value.strip() for value in found[3].split(",")}
        if operator == "in":
            return lambda obj: _labels(obj).get(key) in values
        return lambda obj: _labels(obj).get(key) not in values
    if "!=" in part:
        key, value = (side.strip() for side in part.split("!=", 1))
        return lambda obj: _labels(obj).get(key) != value
    if "=" in part:
        key, value = (side.strip() for side in part.replace("==", "=").split("=", 1))
        return lambda obj: _labels(obj).get(key) == value
    if re.fullmatch(r"!?[\w./-]+", part):
        return (
            (lambda obj: part[1:] not in _labels(obj)) if part.startswith("!") else (lambda obj: part in _labels(obj))
        )
    raise ApiError(400, "BadRequest", f"unable to parse requirement: {part!r}")


def _field_test(part: str) -> Callable[[Object], bool]:
    found = re.fullmatch(r"([\w.]+)\s*(!=|==|=)\s*(.*)", part)
    if found is None:
        raise ApiError(400, "BadRequest", f"invalid field selector: {part!r}")
    path, operator, value = found[1].split("."), found[2], found[3]

    def test(obj: Object) -> bool:
        current: Any = obj
        for step in path:
            current = current.get(step) if isinstance(current, dict) else None
        return (str(current or "") == value) == (operator != "!=")

    return test
