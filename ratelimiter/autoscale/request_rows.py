"""Requests as an autoscaler sees them: means over ten seconds that arrive late, as a collector's rows do."""

from dataclasses import dataclass

ROW, DELAY = 10, 5
"""Seconds that a row is about, and after which it arrives."""


@dataclass(frozen=True, slots=True)
class RequestRow:
    """Requests/s that came and were admitted, and the moment at which the row ends, in seconds."""

    came: float
    admitted: float
    end: float


class RequestRows:
    """The rows since a moment. Moments are whole numbers, of which a second has so many."""

    def __init__(self, began: int, second: int = 1) -> None:
        self._began, self._second, self._row = began, second, ROW * second
        self._counts: dict[int, tuple[float, float]] = {}

    def count(self, at: int, came: float, admitted: float) -> None:
        """Count requests that came, and those of them that were admitted."""
        number = (at - self._began) // self._row
        before = self._counts.get(number, (0, 0))
        self._counts[number] = before[0] + came, before[1] + admitted

    def latest(self, at: int) -> RequestRow | None:
        """Return the last row that has arrived; None before the first."""
        number = (at - self._began - DELAY * self._second) // self._row - 1
        if number < 0:
            return None
        self._counts = {kept: counts for kept, counts in self._counts.items() if kept >= number}
        came, admitted = self._counts.get(number, (0, 0))
        return RequestRow(came / ROW, admitted / ROW, (self._began + (number + 1) * self._row) / self._second)
