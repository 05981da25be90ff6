"""What a namespace's quota leaves for each of its versions."""

from collections.abc import Mapping
from fractions import Fraction

Amounts = Mapping[str, Fraction]
"""Amounts by resource, as a quota names them: `pods`, `requests.cpu`."""


def spare_of(
    asked: Mapping[str, int], replicas: Mapping[str, int], sizes: Mapping[str, Amounts], room: Amounts
) -> dict[str, int]:
    """Return how many replicas more each version gets of a `room` that all share: one each in turn, those first that
    ask for the least, so that a small wish never waits for a large one.

    `asked`, `replicas` and `sizes` have, by version, the number wished for, the number there is, and what one replica
    takes; a resource of which there is no room named is not bounded.
    """
    left = dict(room)
    wishes = {name: max(0, wish - replicas[name]) for name, wish in asked.items()}
    given = dict.fromkeys(wishes, 0)
    waiting = sorted((name for name in wishes if wishes[name]), key=lambda name: (wishes[name], name))
    while waiting:
        waiting = [name for name in waiting if _take(sizes.get(name, {}), left)]
        for name in waiting:
            given[name] += 1
        waiting = [name for name in waiting if given[name] < wishes[name]]
    return given


def _take(size: Amounts, left: dict[str, Fraction]) -> bool:
    """Take a replica's amounts from what is left, if they are there."""
    if any(left[name] < amount for name, amount in size.items() if name in left):
        return False
    for name in size.keys() & left.keys():
        left[name] -= size[name]
    return True
