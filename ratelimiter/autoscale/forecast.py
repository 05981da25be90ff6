"""What will be needed when a replica that is asked for now is warm.

Growth counts only where it is steady: the time behind is cut into four equal pieces, and the least of the three steps
between their means is carried on. A step in the load raises one of them alone, and noise hardly ever all three.
"""

from collections.abc import Sequence
from itertools import pairwise

PIECES = 4
SHORTEST_PIECE = 30.0
MOST_GROWTH = 2.0
"""A forecast at most doubles what is needed now."""


def span_of(warm_up: float) -> float:
    """Return the seconds of history that a forecast over `warm_up` seconds looks at."""
    return PIECES * max(SHORTEST_PIECE, warm_up / PIECES)


def forecast(history: Sequence[tuple[float, float]], need: float, now: float, warm_up: float) -> float:
    """Return what is needed in `warm_up` seconds, at least `need`; `history` has moments (seconds) and what was needed
    then."""
    span = span_of(warm_up)
    piece = span / PIECES
    pieces: list[list[float]] = [[] for _ in range(PIECES)]
    for at, value in history:
        if 0 <= (age := now - at) < span:
            pieces[PIECES - 1 - int(age // piece)].append(value)
    if not all(pieces):
        return need
    means = [sum(values) / len(values) for values in pieces]
    growth = min(later - earlier for earlier, later in pairwise(means)) / piece
    return min(need + max(0.0, growth) * warm_up, MOST_GROWTH * need)
