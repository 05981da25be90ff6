"""What the translator leaves out: parts of objects that it does not know, so that everything else goes on."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

_ODD = (KeyError, TypeError, ValueError, AttributeError, IndexError)
"""What code that expects another shape raises."""


class UnknownField(Exception):
    """A field that the translator does not know, and what about it."""

    def __init__(self, place: str, message: str) -> None:
        self.place, self.message = place, message
        super().__init__(f"{place}: {message}")


@dataclass(slots=True)
class Omissions:
    """What one translation has left out, one sentence for each object and field."""

    found: set[str] = field(default_factory=set)

    def note(self, obj: dict[str, Any], place: str, message: str) -> None:
        """Note that a field of an object is left out."""
        metadata = obj["metadata"]
        name = "/".join(filter(None, (metadata.get("namespace"), metadata["name"])))
        self.found.add(f"{obj.get('kind', 'object')} {name}: {place} is left out: {message}")

    @contextmanager
    def contained(self, obj: dict[str, Any], place: str) -> Iterator[None]:
        """Leave out a part of an object that cannot be translated, and nothing else."""
        try:
            yield
        except UnknownField as error:
            self.note(obj, f"{place}.{error.place}" if error.place else place, error.message)
        except _ODD as error:
            self.note(obj, place, f"it has another shape than the translator knows ({error!r})")


class OmissionLog:
    """Log of what is newly left out, by what asked for it: each omission once for as long as it lasts."""

    def __init__(self) -> None:
        self._known: dict[Any, set[str]] = {}

    def new(self, key: Any, found: set[str]) -> list[str]:
        """Return what was not left out before."""
        known = set[str]().union(*self._known.values())
        self._known[key] = found
        return sorted(found - known)


def mapping(value: Any, place: str) -> dict[str, Any]:
    """Return a value that has to be a mapping; an absent one is empty."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise UnknownField(place, f"a {type(value).__name__} stands where a mapping is expected")
    return value


def mappings(value: Any, place: str) -> list[dict[str, Any]]:
    """Return a value that has to be a list of mappings; an absent one is empty."""
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise UnknownField(place, "a list of mappings is expected")
    return value


def known_only(value: dict[str, Any], known: frozenset[str], place: str = "") -> None:
    """Reject fields that the translator does not know."""
    for name in sorted(map(str, value.keys() - known)):
        raise UnknownField(f"{place}.{name}" if place else name, "the translator does not know it")
