"""Lists in sentences: the first few, and how many more there are. Pure."""

from collections.abc import Sequence


def cut(lines: Sequence[str], most: int, count: int | None = None) -> list[str]:
    """Return the first lines, and one that counts the others; `count` is of all, where not all are in `lines`."""
    count = len(lines) if count is None else count
    return [*lines[:most], *([f"and {count - most} more"] if count > most else [])]


def named(names: Sequence[str], most: int) -> str:
    """Return the first names in one text, with how many others there are."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
