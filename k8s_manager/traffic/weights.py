"""Weights of versions: what the document says, as far as they have warm replicas. Pure.

A version without one would answer its share with errors. Its share goes to the others, by their weights, until it has
one; where none has any, the document holds as it is.
"""

from collections.abc import Collection, Mapping

from istio_templates.documents import ModelSpec
from istio_templates.documents.arms.traffic_match import TrafficMatch


def split(weights: Mapping[str, int], warm: Collection[str]) -> dict[str, int]:
    """Return the weights that hold, in per cent, for declared ones that sum to 100 and the versions that are warm."""
    carried = {name: weight for name, weight in weights.items() if weight and name in warm}
    total = sum(carried.values())
    if total in (0, 100):
        return dict(weights)
    exact = {name: weight * 100 / total for name, weight in carried.items()}
    whole = {name: int(value) for name, value in exact.items()}
    # Whole numbers have to sum to 100: the largest remainders are rounded up.
    most = sorted(carried, key=lambda name: (whole[name] - exact[name], name))[: 100 - sum(whole.values())]
    return {name: whole.get(name, 0) + (name in most) for name in weights}


def declared(spec: ModelSpec) -> dict[str, int]:
    """Return the weights in a document."""
    return {share.version: share.weight for share in spec.traffic}


def can_be_split(spec: ModelSpec) -> bool:
    """Tell whether more than one version has traffic, so that one could take over another's share."""
    return sum(share.weight > 0 for share in spec.traffic) > 1


def carried(spec: ModelSpec, warm: Collection[str]) -> tuple[TrafficMatch, ...]:
    """Return the matches that hold: those to warm versions.

    The requests of the others are divided by the weights until their version has a warm replica. Where no version has
    any, the document holds as it is.
    """
    return tuple(match for match in spec.traffic_matches if match.version in warm or not warm)
