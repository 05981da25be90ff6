"""JSON as kubectl reads it: several documents one behind the other; only that no key stands twice in an object."""

import json
from typing import Any

from istio_templates.documents import scalars

_SPACE = " \t\r\n"


def json_documents(text: str) -> list[Any] | None:
    """Return the values of a JSON text, one behind the other; None where it is none, or has to be read as YAML to say
    where it is wrong."""
    at, found = _next(text, 0), []
    if text[at : at + 1] != "{":
        return None
    while at < len(text):
        try:
            value, end = _JSON.raw_decode(text, at)
        except ValueError:
            return None
        found.append(value)
        at = _next(text, end)
    return found


def _next(text: str, at: int) -> int:
    """Return where the next document begins, behind blanks and a separator."""
    end = at + len(text[at:]) - len(text[at:].lstrip(_SPACE))
    return _next(text, end + 3) if at and text[end : end + 3] == "---" else end


def require_single_keys(text: bytes) -> None:
    """Raise `ValueError` where a key stands twice in an object of a JSON text."""
    json.loads(text, object_pairs_hook=_single_keys)


def _single_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return the pairs of a JSON object; raises `ValueError` for a key that stands twice."""
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"key {next(key for key in keys if keys.count(key) > 1)!r} stands twice")
    return found


def _no_constant(text: str) -> Any:
    raise ValueError(f"{text} is no number of JSON")


_JSON = json.JSONDecoder(
    object_pairs_hook=_single_keys,
    parse_constant=_no_constant,
    parse_float=lambda text: scalars.whole(float(text)),
)
