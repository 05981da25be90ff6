"""Whether the warm replicas can carry a new split of the traffic. Pure."""

from collections.abc import Mapping
from fractions import Fraction
from math import ceil

from istio_templates.documents import ModelSpec
from istio_templates.errors import Problem
from k8s_manager.pipeline.facts import loads
from ratelimiter.capacity import VersionLoad, capacity, clamp
from ratelimiter.terms import bounds_of


def objections(before: ModelSpec, after: ModelSpec, warm: Mapping[str, int]) -> list[Problem]:
    """Return what speaks against moving the traffic of a model, from the warm replicas of each version by name."""
    cold = [share.version for share in after.traffic if share.weight and not warm.get(share.version)]
    if cold:
        said = f"version {', '.join(cold)} has no warm replica; scale it up and wait until it is warm"
        return [Problem("traffic", said)]
    if after.rate_limit is None or before.rate_limit is None:
        return []
    held, lower = limit(before, warm), limit(after, warm)
    if lower >= held:
        return []
    bounding = [load for load in loads(after, dict(warm)) if load.share and not load.own]
    if not bounding:
        said = (
            f"the model could serve {float(lower):g}/s and no longer {float(held):g}/s; send force=true to let it fall"
        )
        return [Problem("traffic", said)]
    fullest = min(bounding, key=_served)
    needed = ceil(held * fullest.share / fullest.per_replica)
    said = (
        f"version {fullest.name} has {fullest.replicas} warm replicas for {float(fullest.share):.0%} of the traffic: "
        f"the model could serve {float(lower):g}/s and no longer {float(held):g}/s; scale it to {needed} first, or "
        "send force=true and let the limit fall"
    )
    return [Problem("traffic", said)]


def limit(spec: ModelSpec, warm: Mapping[str, int]) -> Fraction:
    """Return the limit of a model that has one, from the warm replicas of each version, in requests/s over all gateway
    pods. What its tenant's ceiling, a mode or an override make of it is left out."""
    assert spec.rate_limit is not None
    return clamp(capacity(loads(spec, dict(warm))), bounds_of(spec.rate_limit))


def _served(load: VersionLoad) -> Fraction:
    return load.replicas * load.per_replica / load.share
