"""Which documents have changed between two passes: what links a pass to the API calls that led to it.

A pass can be another manager's than the call, and answer several calls at once: so it is no child of them, but names
the same states of documents. Pure.
"""

from collections.abc import Iterable
from typing import Any

from k8s_manager.traces.spans import document_at

MOST = 32
"""Documents that are named; beyond that the number says it."""


class DocumentChanges:
    """The generation of each document at the last pass. At the first pass nothing is known to have changed."""

    def __init__(self) -> None:
        self._before: dict[Any, int] | None = None

    def since_last(self, documents: Iterable[tuple[Any, int]]) -> list[str]:
        """Return the names of the states that are new since the last call; those of documents that are gone are
        without a number."""
        now, before = dict(documents), self._before
        self._before = now
        if before is None:
            return []
        changed = [document_at(key, generation) for key, generation in now.items() if before.get(key) != generation]
        return sorted([*changed, *(str(key) for key in before if key not in now)])[:MOST]
