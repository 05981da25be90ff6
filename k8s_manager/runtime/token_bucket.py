"""How often something may be done, by name: a token bucket for each."""

from collections import OrderedDict
from dataclasses import dataclass

from k8s_manager.runtime.clock import Clock

MOST = 10_000


@dataclass(frozen=True, slots=True)
class Rate:
    """Times per second, and how many times at once."""

    rate: float
    burst: float


class TokenBuckets:
    """The buckets. Those that were asked for longest ago are forgotten first, and are full again then."""

    def __init__(self, clock: Clock, pace: Rate) -> None:
        self._clock, self._pace = clock, pace
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, name: str) -> float:
        """Take a token; return 0, or where there is none in how many seconds there will be."""
        wait, tokens = self.wait(name), self._tokens(name)
        self._buckets.pop(name, None)
        self._buckets[name] = (tokens if wait else tokens - 1, self._clock.now())
        while len(self._buckets) > MOST:
            self._buckets.popitem(last=False)
        return wait

    def wait(self, name: str) -> float:
        """Return in how many seconds there will be a token, and leave it there."""
        return max(0.0, (1 - self._tokens(name)) / self._pace.rate)

    def _tokens(self, name: str) -> float:
        now = self._clock.now()
        tokens, since = self._buckets.get(name, (self._pace.burst, now))
        return min(self._pace.burst, tokens + (now - since) * self._pace.rate)
