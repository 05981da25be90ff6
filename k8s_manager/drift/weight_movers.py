"""Controllers that move the weights of routes step by step, known by the names under which they write. Pure.

One that claims a route which Tidegate renders writes it again at each of Tidegate's writes: only taking one of the two
away ends that, so the owner of the document has to hear which it is, and how.
"""

from collections.abc import Iterable, Mapping

ROUTING = ("VirtualService", "DestinationRule")
_REMEDIES: Mapping[str, tuple[str, str]] = {
    "rollouts-controller": ("Argo Rollouts", "take it out of trafficRouting of its Rollout"),
    "flagger": ("Flagger", "delete its Canary, or give the Service of that another name"),
}


def remedy(kind: str, writers: Iterable[str]) -> str | None:
    """Return what to do about an object of a kind that such a controller has written; None where none has."""
    found = [_REMEDIES[writer] for writer in sorted(writers) if writer in _REMEDIES]
    if kind not in ROUTING or not found:
        return None
    movers, ways = " and ".join(mover for mover, _ in found), " and ".join(way for _, way in found)
    return (
        f"{movers} claims it as well, and requests may go by its weights, while the limit goes by the document's: "
        f"{ways}, or leave the weights to {movers} with a route of its own and spec.attachTo"
    )
