"""What a value that was read from a text may hold: what JSON has words for, and no more than a document ever needs.

YAML and some readers of JSON know more: whole numbers of any length, infinity, sets, halves of a character. What the
API server could not store is rejected here with its field, before anything is made of it. The number of values bounds
what everything after this costs.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import isfinite
from typing import Any

from istio_templates.errors import Problem

MAX_DEPTH = 32
MOST_VALUES = 100_000
"""Of a document, each part, text and number counted: a warm-up plan may hold its numbers itself."""
Place = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Reader:
    """Who reads a value: how many parts and levels it takes, and how far whole numbers may go."""

    most: int = MOST_VALUES
    depth: int = MAX_DEPTH
    lowest: int = -(2**63)
    beyond: int = 2**64

    def message(self, item: Any) -> str:
        """Return what is wrong with one value, without what is in it; empty where nothing is."""
        if type(item) is int:
            fits = self.lowest <= item < self.beyond
            return "" if fits else "is a whole number beyond 64 bits; give a smaller one, or quote it"
        return _message(item)


DOCUMENT = Reader()
FILE = Reader(most=5_000_000, depth=100, lowest=-(10**21), beyond=10**21)
"""A person's own file: a dump of a cluster is large, a schema deep, and Go reads a long number as a float."""


def flaw_of(value: Any, reader: Reader = DOCUMENT) -> Problem | None:
    """Return what is wrong with a value of any type; None where JSON can hold it.

    It checks as many values as are accepted, also where parts of a value are shared (aliases of YAML).
    """
    level: list[Any] = [value]
    count = 0
    for _ in range(reader.depth + 1):
        count += len(level)
        if count > reader.most:
            return Problem("spec", f"has more than {reader.most} parts; make it smaller, or keep long lists in files")
        if any(map(reader.message, level)):
            return _located(value, reader)
        level = [inner for item in level if isinstance(item, dict | list) for inner in _inside(item)]
        if not level:
            return None
    return Problem("spec", f"is nested deeper than {reader.depth} levels; flatten it")


def is_large(value: Any, most: int = 16_384) -> bool:
    """Tell whether a value would have about more than `most` bytes as a text; it looks at no more of it."""
    size, level = 0, [value]
    while level:
        size += sum(8 + (len(item) if type(item) in (str, dict, list) else 0) for item in level)
        if size > most:
            return True
        level = [inner for item in level if isinstance(item, dict | list) for inner in _inside(item)]
    return False


def path_of(location: Place | list[Any]) -> str:
    """Return `spec.routes[0].path` for `["spec", "routes", 0, "path"]`."""
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def _inside(item: Any) -> Any:
    return item.values() if isinstance(item, dict) else item


def _message(item: Any) -> str:
    if isinstance(item, str):
        return "" if item.isascii() or _is_text(item) else "has half of a character (a lone surrogate); write it whole"
    if isinstance(item, dict):
        return next((said for key in item if (said := _key_message(key))), "")
    if isinstance(item, float):
        return "" if isfinite(item) else f"is {item}, which is no number of JSON; give a figure, or quote it"
    return (
        ""
        if isinstance(item, list | bool) or item is None
        else f"is a {type(item).__name__}, which JSON cannot hold; quote it"
    )


def _key_message(key: Any) -> str:
    if type(key) is not str:
        return f"has a key that is a {type(key).__name__}; keys are texts, quote it"
    return "" if key.isascii() or _is_text(key) else "has a key with half of a character (a lone surrogate)"


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _located(value: Any, reader: Reader) -> Problem | None:
    found = ((place, said) for place, item in _places(value, (), reader.depth) if (said := reader.message(item)))
    return next((Problem(path_of(place), said) for place, said in found), None)


def _places(value: Any, place: Place, depth: int) -> Iterator[tuple[Place, Any]]:
    yield place, value
    if depth and isinstance(value, dict):
        for key, inner in value.items():
            yield from _places(inner, (*place, key if type(key) is str and _is_text(key) else repr(key)), depth - 1)
    elif depth and isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _places(inner, (*place, number), depth - 1)
