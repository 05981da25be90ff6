"""What a tenant's quota leaves for each of its versions."""

from collections.abc import Mapping


def spare_of(asked: Mapping[str, int], replicas: Mapping[str, int], room: int) -> dict[str, int]:
    """Return how many replicas more each version gets of a `room` that all share, where together they ask for more than
    it: one each in turn, those first that ask for the least, so that a small wish never waits for a large one.

    `asked` and `replicas` have, by version, the number wished for and the number there is.
    """
    left = max(0, room)
    wishes = {name: max(0, wish - replicas[name]) for name, wish in asked.items()}
    given = dict.fromkeys(wishes, 0)
    waiting = sorted((name for name in wishes if wishes[name]), key=lambda name: (wishes[name], name))
    while waiting:
        share, rest = divmod(left, len(waiting))
        name = waiting.pop(0)
        given[name] = min(wishes[name], share + (1 if rest else 0))
        left -= given[name]
    return given
