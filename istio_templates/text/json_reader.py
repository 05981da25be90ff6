"""JSON as kubectl reads it: several documents one behind the other; only that no key stands twice in an object."""

import json
import json.scanner
import re
from typing import Any

from istio_templates.text import scalars

SHORT = 65_536
"""Characters up to which a text is read in one call, which holds every other thread for some milliseconds."""
_SPACE = re.compile(r"[ \t\r\n]*")
_BETWEEN = re.compile(r"[ \t\r\n]*(?:---[ \t\r\n]*)*")


def json_documents(text: str) -> list[Any] | None:
    """Return the values of a JSON text, one behind the other; None where it is none, or has to be read as YAML to say
    where it is wrong."""
    at, found = _end(_SPACE, text, 0), []
    if text[at : at + 1] != "{":
        return None
    while at < len(text):
        try:
            value, end = _JSON.raw_decode(text, at)
        except ValueError:
            return None
        found.append(value)
        at = _end(_BETWEEN, text, end)
    return found


def _end(between: re.Pattern[str], text: str, at: int) -> int:
    """Return where the next document begins, behind blanks and separators."""
    found = between.match(text, at)
    return found.end() if found else at


def json_value(text: str) -> Any:
    """Return the value of a JSON text, read once; raises `ValueError` where it is broken, where a key stands twice in
    an object, and for numbers that JSON has no words for."""
    return (_STRICT if len(text) <= SHORT else _PATIENT).decode(text)


def _single_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return the pairs of a JSON object; raises `ValueError` for a key that stands twice."""
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"key {twice[:60]!r} stands twice")
    return found


def _no_constant(text: str) -> Any:
    raise ValueError(f"{text} is no number of JSON")


class _PatientDecoder(json.JSONDecoder):
    """Reads value after value in Python: slower, and other threads have their turn between two of them."""

    def __init__(self) -> None:
        super().__init__(object_pairs_hook=_single_keys, parse_constant=_no_constant)
        scanner: Any = json.scanner
        self.scan_once = scanner.py_make_scanner(self)


_STRICT = json.JSONDecoder(object_pairs_hook=_single_keys, parse_constant=_no_constant)
_PATIENT = _PatientDecoder()
_JSON = json.JSONDecoder(
    object_pairs_hook=_single_keys,
    parse_constant=_no_constant,
    parse_float=lambda text: scalars.whole(float(text)),
)
