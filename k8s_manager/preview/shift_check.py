"""Check that the warm replicas can serve a new split of the traffic. Pure."""

from collections.abc import Mapping
from fractions import Fraction
from math import ceil

from istio_templates.documents import ModelSpec
from istio_templates.errors import Problem
from k8s_manager.pipeline.facts import loads
from ratelimiter.capacity import VersionLoad, capacity, clamp
from ratelimiter.terms import bounds_of


def objections(before: ModelSpec, after: ModelSpec, warm: Mapping[str, int]) -> list[Problem]:
    """Return every problem of a new split of a model's traffic, given the warm replicas of each version by name."""
    cold = [share.version for share in after.traffic if share.weight and not warm.get(share.version)]
    if cold:
        message = f"version {', '.join(cold)} has no warm replica; scale it up and wait until it is warm"
        return [Problem("traffic", message)]
    if after.rate_limit is None or before.rate_limit is None:
        return []
    held, lower = limit(before, warm), limit(after, warm)
    if lower >= held:
        return []
    bounding = [load for load in loads(after, dict(warm)) if load.share and not load.own]
    if not bounding:
        message = f"the limit would fall from {float(held):g}/s to {float(lower):g}/s; send force=true to accept that"
        return [Problem("traffic", message)]
    fullest = min(bounding, key=_served)
    needed = ceil(held * fullest.share / fullest.per_replica)
    message = (
        f"version {fullest.name} has {fullest.replicas} warm replicas for {float(fullest.share):.0%} of the traffic: "
        f"the limit would fall from {float(held):g}/s to {float(lower):g}/s; scale that version to {needed} replicas "
        "first, or send force=true to accept the lower limit"
    )
    return [Problem("traffic", message)]


def limit(spec: ModelSpec, warm: Mapping[str, int]) -> Fraction:
    """Return the limit of a model that has one, from the warm replicas of each version, in requests/s over all gateway
    pods. The tenant's ceiling, modes and overrides are left out."""
    assert spec.rate_limit is not None
    return clamp(capacity(loads(spec, dict(warm))), bounds_of(spec.rate_limit))


def _served(load: VersionLoad) -> Fraction:
    return load.served / load.share
