"""Spans of time, half open, and what is left of them where others are taken out."""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import NamedTuple


class TimeRange(NamedTuple):
    """From `begins` until `ends`, which is no longer part of it; both are aware."""

    begins: datetime
    ends: datetime

    @property
    def length(self) -> timedelta:
        """How long it lasts."""
        return self.ends - self.begins

    def overlaps(self, other: "TimeRange") -> bool:
        """Tell whether two spans share a moment."""
        return self.begins < other.ends and other.begins < self.ends

    def holds(self, moment: datetime) -> bool:
        """Tell whether a moment is in it."""
        return self.begins <= moment < self.ends


def united(spans: Iterable[TimeRange]) -> list[TimeRange]:
    """Return the spans in ascending order, those that touch or overlap as one."""
    found: list[TimeRange] = []
    for span in sorted(spans):
        if found and span.begins <= found[-1].ends:
            found[-1] = TimeRange(found[-1].begins, max(found[-1].ends, span.ends))
        else:
            found.append(span)
    return found


def without(spans: Iterable[TimeRange], taken: Iterable[TimeRange]) -> Iterator[TimeRange]:
    """Yield what is left of each span where the `taken` ones are cut out, in ascending order."""
    cuts = united(taken)
    for span in united(spans):
        begins = span.begins
        for cut in cuts:
            if cut.ends <= begins or cut.begins >= span.ends:
                continue
            if cut.begins > begins:
                yield TimeRange(begins, cut.begins)
            begins = cut.ends
        if begins < span.ends:
            yield TimeRange(begins, span.ends)
