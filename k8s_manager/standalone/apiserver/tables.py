"""Objects as kubectl's tables: the columns of a CRD, those of pods and Deployments, else name and age. Pure.

Format: Kubernetes' `Table` (meta.k8s.io/v1).
"""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from k8s_manager.standalone.apiserver.registry import Kind

Object = dict[str, Any]
Column = tuple[str, Callable[[Object, datetime], Any]]
TABLE = re.compile(r"as=Table;[^,]*g=meta\.k8s\.io|g=meta\.k8s\.io;[^,]*as=Table")
"""The parameter of the Accept header of a client that takes tables."""


def table(kind: Kind, objects: Sequence[Object], crd: Object | None, metadata: Object, now: datetime) -> Object:
    """Return objects as a table at a moment."""
    columns = _columns(kind, crd)
    definitions = [
        {"name": name, "type": "string", "format": "name" if name == "Name" else "", "description": "", "priority": 0}
        for name, _ in columns
    ]
    rows = [
        {
            "cells": [str(value) if (value := cell(obj, now)) is not None else "" for _, cell in columns],
            "object": {
                "kind": "PartialObjectMetadata",
                "apiVersion": "meta.k8s.io/v1",
                "metadata": {name: value for name, value in obj["metadata"].items() if name != "managedFields"},
            },
        }
        for obj in objects
    ]
    head = {"kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": metadata}
    return {**head, "columnDefinitions": definitions, "rows": rows}


def _columns(kind: Kind, crd: Object | None) -> list[Column]:
    first: list[Column] = [("Name", lambda obj, _: obj["metadata"]["name"])]
    if crd is not None:
        versions = [v for v in crd["spec"]["versions"] if kind.group_version.endswith(f"/{v['name']}")]
        given = versions[0].get("additionalPrinterColumns") or [] if versions else []
        first += [(column["name"], _printed(column)) for column in given]
    else:
        first += _BUILT_IN.get(kind.kind, [])
    return first if any(name == "Age" for name, _ in first) else [*first, ("Age", _age)]


def _printed(column: Object) -> Callable[[Object, datetime], Any]:
    steps = re.findall(r"\[\?\(@\.(\w+)==[\"'](\w+)[\"']\)\]|\[(\d+)\]|([\w-]+)", column["jsonPath"])
    is_date = column["type"] == "date"
    return lambda obj, now: _since(str(_at(obj, steps) or ""), now) if is_date else _at(obj, steps)


def _at(value: Any, steps: Sequence[tuple[str, str, str, str]]) -> Any:
    """Return what stands at the end of a simple JSON path; None where nothing does."""
    for key, wanted, number, name in steps:
        if key:
            found = [one for one in value if isinstance(one, dict) and one.get(key) == wanted] if value else []
            value = found[0] if found else None
        elif number:
            value = value[int(number)] if isinstance(value, list) and len(value) > int(number) else None
        else:
            value = value.get(name) if isinstance(value, dict) else None
    return value


def _age(obj: Object, now: datetime) -> str:
    return _since(obj["metadata"].get("creationTimestamp", ""), now)


def _since(text: str, now: datetime) -> str:
    try:
        seconds = int((now - datetime.fromisoformat(text)).total_seconds())
    except ValueError:
        return "<unknown>"
    for unit, length, most in (("s", 1, 120), ("m", 60, 180 * 60), ("h", 3600, 48 * 3600)):
        if seconds < most:
            return f"{max(0, seconds) // length}{unit}"
    return f"{seconds // 86_400}d"


def _containers(obj: Object) -> list[Mapping[str, Any]]:
    return (obj.get("status") or {}).get("containerStatuses") or []


def _pods_ready(obj: Object, _: datetime) -> str:
    whole = len((obj.get("spec") or {}).get("containers") or [])
    return f"{sum(bool(one.get('ready')) for one in _containers(obj))}/{whole}"


def _pods_status(obj: Object, _: datetime) -> str:
    if "deletionTimestamp" in obj["metadata"]:
        return "Terminating"
    waiting = [(one.get("state") or {}).get("waiting", {}).get("reason") for one in _containers(obj)]
    return next((str(reason) for reason in waiting if reason), (obj.get("status") or {}).get("phase", "Pending"))


def _restarts(obj: Object, _: datetime) -> int:
    return sum(one.get("restartCount", 0) for one in _containers(obj))


def _of_status(name: str) -> Callable[[Object, datetime], Any]:
    return lambda obj, _: (obj.get("status") or {}).get(name, 0)


_BUILT_IN: Mapping[str, list[Column]] = {
    "Pod": [
        ("Ready", _pods_ready),
        ("Status", _pods_status),
        ("Restarts", _restarts),
        ("Age", _age),
        ("IP", lambda obj, _: (obj.get("status") or {}).get("podIP")),
    ],
    "Deployment": [
        (
            "Ready",
            lambda obj, _: (
                f"{(obj.get('status') or {}).get('readyReplicas', 0)}/{(obj.get('spec') or {}).get('replicas', 1)}"
            ),
        ),
        ("Up-To-Date", _of_status("updatedReplicas")),
        ("Available", _of_status("availableReplicas")),
    ],
    "Namespace": [("Status", lambda obj, _: (obj.get("status") or {}).get("phase", "Active"))],
}
