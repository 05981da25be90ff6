"""A part of a long list, and where the parts before and after it are. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")
LINES = 50


@dataclass(frozen=True, slots=True)
class PageWindow(Generic[T]):
    """The lines of one page, its number from 1 on, how many pages and how many lines there are."""

    items: Sequence[T]
    number: int
    pages: int
    total: int


def window(items: Sequence[T], number: str) -> PageWindow[T]:
    """Return the page of a number; the nearest one for what is none."""
    pages = max(1, -(-len(items) // LINES))
    wanted = min(max(1, int(number)), pages) if number.isascii() and number.isdecimal() and len(number) < 9 else 1
    return PageWindow(items[(wanted - 1) * LINES : wanted * LINES], wanted, pages, len(items))
