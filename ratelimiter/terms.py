"""Conversion of a document's limit into what the arithmetic needs."""

from istio_templates.documents.fields import exact, seconds
from istio_templates.documents.rate_limit import Patience, RateLimit, ShadowVerdict, VersionLimit
from ratelimiter import debounce
from ratelimiter.capacity import LimitBounds
from ratelimiter.modes import PromotionCriteria


def bounds_of(limit: RateLimit | VersionLimit) -> LimitBounds:
    """Return between which figures a limit stays, in requests/s."""
    return LimitBounds(exact(limit.floor), None if limit.ceiling is None else exact(limit.ceiling))


def rules_of(limit: RateLimit) -> debounce.Rules:
    """Return how patient a limit is with cuts and with raises, in seconds."""
    return debounce.Rules(_patience(limit.debounce.down), _patience(limit.debounce.up))


def verdict_of(verdict: ShadowVerdict) -> PromotionCriteria:
    """Return what shadow has to show, as a share and seconds."""
    return PromotionCriteria(exact(verdict.refused_at_most) / 100, float(seconds(verdict.over)))


def _patience(patience: Patience) -> debounce.DebounceWindow:
    return debounce.DebounceWindow(float(seconds(patience.quiet)), float(seconds(patience.longest)))
