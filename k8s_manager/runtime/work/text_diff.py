"""Differences between two texts, at a bounded cost: finding the smallest one takes the square of their lines."""

import difflib
import re
from functools import partial

MOST_LINES = 2000
"""Lines of each text that are compared, once what they begin and end with alike is left out."""
MOST_CHARACTERS = 200_000
_CONTEXT = 3
_HUNK = re.compile(r"([-+])([0-9]+)(?=[, ])")


def unified(before: str, after: str, old_name: str, new_name: str) -> str:
    """Return a unified diff of two texts; where too much differs, how much does, instead of what."""
    old, new = before.splitlines(True), after.splitlines(True)
    start = _alike(old, new)
    end = _alike(old[start:][::-1], new[start:][::-1])
    first, last = max(0, start - _CONTEXT), max(0, end - _CONTEXT)
    changed = [lines[first : len(lines) - last] for lines in (old, new)]
    said = f"--- {old_name}\n+++ {new_name}\n# {{}}; read both to compare them\n"
    if max(map(len, changed)) > MOST_LINES:
        return said.format(f"up to {max(map(len, changed))} lines differ")
    lines = difflib.unified_diff(changed[0], changed[1], old_name, new_name, n=_CONTEXT)
    text = "".join(_HUNK.sub(partial(_moved, first), line) if line.startswith("@@") else line for line in lines)
    return text if len(text) <= MOST_CHARACTERS else said.format(f"the difference has {len(text)} characters")


def _moved(lines: int, place: re.Match[str]) -> str:
    """Return where a hunk stands in the whole texts, whose first `lines` were left out."""
    return f"{place[1]}{int(place[2]) + lines}"


def _alike(old: list[str], new: list[str]) -> int:
    """Return how many lines two texts begin with alike."""
    return next(
        (number for number, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), min(len(old), len(new))
    )
