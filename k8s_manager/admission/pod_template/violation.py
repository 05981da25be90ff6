"""What the API server would refuse in a pod template: the place in it, and what is wrong there."""

from collections.abc import Iterator
from typing import Any

Place = tuple[str | int, ...]
Violation = tuple[Place, str]


def below(place: Place, found: Iterator[Violation]) -> Iterator[Violation]:
    """Yield violations with their places below another."""
    return (((*place, *inner), message) for inner, message in found)


def wrong(place: Place, message: str | None) -> Iterator[Violation]:
    """Yield a violation where there is a message."""
    if message is not None:
        yield place, message


def elements(value: dict[str, Any], field: str) -> Iterator[tuple[Place, Any]]:
    """Yield the elements of a list in a mapping, each with its place there."""
    for number, element in enumerate(value.get(field) or ()):
        yield (field, number), element
