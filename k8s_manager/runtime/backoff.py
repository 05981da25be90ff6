"""How long to wait before what failed is tried again."""

from dataclasses import dataclass

_MOST_DOUBLINGS = 64
"""More would be no number any more: a float ends at 1,024 of them, and what is tried for a day fails more often."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """The first pause and the longest, in seconds."""

    first: float
    longest: float

    def after(self, failures: int) -> float:
        """Return the pause after so many failures in a row: twice as long each time."""
        return min(self.longest, self.first * 2.0 ** min(failures - 1, _MOST_DOUBLINGS))
