"""The token bucket of one gateway pod, as Envoy keeps it: filled all the time, a request takes one token.

Whole numbers only: a token is `interval` x 10^9 units and every nanosecond brings `tokens` of them, so that nothing is
rounded. Source: Envoy's AtomicTokenBucketImpl; checked against a real Envoy by `benchmarks simulation`.
"""

from istio_templates.facts import Bucket
from ratelimiter.simulation.trace import NANOS


class TokenBucket:
    """One bucket; times are in nanoseconds and never go back."""

    __slots__ = ("_at", "_fill", "_level", "_most", "_token")

    def __init__(self, bucket: Bucket, at: int) -> None:
        self._token = self._fill = self._most = self._level = 0
        self._at = at
        self.rewrite(bucket, at)

    def take(self, at: int) -> bool:
        """Take a token for a request; False where there is none."""
        level = self._level + (at - self._at) * self._fill
        self._at = at
        if level > self._most:
            level = self._most
        admitted = level >= self._token
        self._level = level - self._token if admitted else level
        return admitted

    def rewrite(self, bucket: Bucket, at: int) -> None:
        """Replace it with a new bucket, which is full: that is what Envoy does with every bucket of a slot."""
        self._token, self._fill = bucket.interval * NANOS, bucket.tokens
        self._level = self._most = bucket.burst * self._token
        self._at = at

    def adjust(self, bucket: Bucket, at: int) -> None:
        """Change rate and size but keep the tokens that are there: what an ideal proxy would do."""
        tokens, token = min(self._most, self._level + (at - self._at) * self._fill), self._token
        self.rewrite(bucket, at)
        self._level = min(self._most, tokens * self._token // token)
