"""The fields of a model's document that people change most, as a form: what it says now, and the patch that a form
makes. Pure.

A list is replaced as a whole, as it was read with what was typed in it; what no field is for stays as it is.
"""

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from k8s_manager.console.form import number

FORM = "fields"


@dataclass(frozen=True, slots=True)
class DocumentField:
    """A field of the form: where it stands in the spec, such as `versions[0].workload.image`, what it says now, and
    whether it is a number."""

    path: str
    label: str
    value: str
    is_number: bool = False

    @property
    def mode(self) -> str:
        """The keyboard that a phone shows."""
        return "decimal" if self.is_number else "text"


def fields_of(spec: Mapping[str, Any]) -> list[DocumentField]:
    """Return the fields of a document, in the order in which people think of them."""
    return [*_limit(spec.get("rateLimit") or {}), *_versions(spec), *_routes(spec)]


def _limit(limit: Mapping[str, Any]) -> Iterator[DocumentField]:
    for name, label in (("perReplicaQps", "Requests per second that one warm replica serves"), ("floor", "Floor")):
        yield DocumentField(f"rateLimit.{name}", label, _text(limit.get(name)), is_number=True)
    yield DocumentField("rateLimit.ceiling", "Ceiling", _text(limit.get("ceiling")), is_number=True)
    yield DocumentField("rateLimit.mode", "Mode: enforce, shadow, ramp or off", _text(limit.get("mode")))


def _versions(spec: Mapping[str, Any]) -> Iterator[DocumentField]:
    for row, version in enumerate(spec.get("versions") or []):
        if workload := version.get("workload"):
            at, name = f"versions[{row}].workload", version.get("name", "")
            yield DocumentField(f"{at}.image", f"Image of {name}", _text(workload.get("image")))
            if not version.get("autoscale"):
                replicas = _text(workload.get("replicas"))
                yield DocumentField(f"{at}.replicas", f"Replicas of {name}", replicas, is_number=True)


def _routes(spec: Mapping[str, Any]) -> Iterator[DocumentField]:
    for row, route in enumerate(spec.get("routes") or []):
        at = f"{route.get('host', '')}{route.get('path', '')}"
        yield DocumentField(f"routes[{row}].timeout", f"Timeout of {at}", _text(route.get("timeout")))


def patch_of(spec: Mapping[str, Any], form: Mapping[str, str]) -> dict[str, Any]:
    """Return the merge patch (RFC 7396) of a spec with what was typed; what no field changes is not in it."""
    patch: dict[str, Any] = {}
    for one in fields_of(spec):
        typed = form.get(one.path, one.value).strip()
        if typed != one.value:
            value = None if not typed else number(typed) if one.is_number else typed
            _put(patch, spec, one.path, value)
    return patch


def differences(spec: Mapping[str, Any], form: Mapping[str, str]) -> dict[str, list[str]]:
    """Return in a sentence at each field what a spec says there, where that is not what was typed."""
    return {
        one.path: [f"the document says {one.value or 'nothing'} here now"]
        for one in fields_of(spec)
        if form.get(one.path, one.value).strip() != one.value
    }


def _put(patch: dict[str, Any], spec: Mapping[str, Any], path: str, value: Any) -> None:
    head, *rest = path.split(".")
    name, bracket, row = head.partition("[")
    if not bracket:
        patch.setdefault(name, {})[rest[0]] = value
        return
    found = patch.setdefault(name, copy.deepcopy(spec[name]))[int(row[:-1])]
    for part in rest[:-1]:
        found = found[part]
    if value is None:
        found.pop(rest[-1], None)
    else:
        found[rest[-1]] = value


def _text(value: Any) -> str:
    return "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
