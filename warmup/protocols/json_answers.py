"""What a JSON answer is worth: that it can be read, and holds finite numbers and the outputs that were asked for."""

import json
import math
from collections.abc import Collection, Mapping
from typing import Any

from istio_templates.documents.warmup import Sanity


def read(body: bytes) -> Any:
    """Return the JSON in a body; `ValueError` where there is none."""
    try:
        return json.loads(body)
    except (UnicodeDecodeError, RecursionError) as error:
        raise ValueError(str(error)) from error


def mapping(body: bytes) -> dict[str, Any]:
    """Return the JSON object in a body; `ValueError` where there is none."""
    found = read(body)
    if not isinstance(found, dict):
        raise ValueError("is no JSON object")
    return found


def objection(check: Sanity, body: bytes, outputs: Mapping[str, Any]) -> str | None:
    """Return what speaks against an answer with these `outputs`."""
    if missing := [name for name in check.outputs if name not in outputs]:
        return f"output {missing[0]} is missing; there are {_some(outputs)}"
    looked_at = [outputs[name] for name in check.outputs] if check.outputs else list(outputs.values())
    return _told(check, body, not check.finite or all(map(is_finite, looked_at)))


def of_names(check: Sanity, body: bytes, names: Collection[str], finite: bool) -> str | None:
    """Return what speaks against an answer whose outputs have these `names` and hold `finite` numbers only."""
    if missing := [name for name in check.outputs if name not in names]:
        return f"output {missing[0]} is missing; there are {_some(names)}"
    return _told(check, body, not check.finite or finite)


def _some(names: Collection[str]) -> str:
    return ", ".join(sorted(names)[:10]) or "none"


def _told(check: Sanity, body: bytes, finite: bool) -> str | None:
    if not finite:
        return "an output is NaN or infinite"
    if check.contains is not None and check.contains.encode() not in body:
        return f"the answer does not contain {check.contains!r}"
    return None


def is_finite(value: Any) -> bool:
    """Tell whether all numbers in a value are finite."""
    if isinstance(value, dict):
        return all(map(is_finite, value.values()))
    if isinstance(value, list):
        return all(map(is_finite, value))
    return not isinstance(value, float) or math.isfinite(value)
