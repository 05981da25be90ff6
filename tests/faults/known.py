"""Plans that fail for a known reason: a line each in `known.txt`, with the kind of fault. What passes is removed.

A line with `~` before it is a regular expression: a plan that it matches may fail, and the line goes when none of a
whole row does.
"""

import re
from collections.abc import Collection
from functools import cache
from pathlib import Path

FILE = Path(__file__).parent / "known.txt"


@cache
def _lines() -> tuple[str, ...]:
    lines = FILE.read_text().splitlines()
    return tuple(line.split(maxsplit=1)[1] for line in lines if line and not line.startswith("#"))


def is_listed(plan: str) -> bool:
    """Tell whether a plan has a line of its own, and so has to fail."""
    return plan in _lines()


def may_fail(plan: str) -> bool:
    """Tell whether a plan is known to fail, or may."""
    return is_listed(plan) or any(re.fullmatch(line[1:], plan) for line in _lines() if line.startswith("~"))


def stale_patterns(failed: Collection[str], passed: Collection[str]) -> list[str]:
    """Return the patterns that match plans of a whole row, but none that failed."""
    out = []
    for line in _lines():
        if line.startswith("~"):
            found = re.compile(line[1:])
            if any(map(found.fullmatch, passed)) and not any(map(found.fullmatch, failed)):
                out.append(line)
    return out
