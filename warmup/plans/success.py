"""When a case has passed: by its last calls, nothing else. Pure.

First calls, which load and compile, are outside the window by themselves once enough others have followed. Quantiles
are by nearest rank: of fewer than 100 calls, p99 is the slowest.
"""

from collections import deque
from collections.abc import Sequence
from math import ceil
from statistics import median
from typing import Literal

from istio_templates.documents.fields import seconds
from istio_templates.documents.warmup import Load, Success


def nearest_rank(latencies: Sequence[float], quantile: float) -> float:
    """Return the smallest latency that at least this share of them does not exceed."""
    return sorted(latencies)[max(0, ceil(quantile * len(latencies)) - 1)]


class CaseCounts:
    """What the calls of one case and batch size have shown so far; latencies are in seconds."""

    def __init__(self, load: Load, success: Success) -> None:
        self._load, self._success = load, success
        self._longest = float(seconds(success.latency.max))
        self._least = float(seconds(load.min_duration))
        steady = success.steady_state
        self._recent: deque[float | None] = deque(maxlen=success.window * (steady.windows if steady else 1))
        self.calls = 0
        self.failures = 0
        self.last: float | None = None
        self.first: float | None = None
        self.said = ""

    def add(self, latency: float | None, said: str = "") -> None:
        """Note a call: its latency, or what made it a failure."""
        self.calls += 1
        self._recent.append(latency)
        if latency is None:
            self.failures += 1
            self.said = said
        else:
            self.last = latency
            self.first = latency if self.first is None else self.first

    def verdict(self, elapsed: float) -> Literal["passed", "spent"] | None:
        """Return the result of the case `elapsed` seconds after its first call; None: go on."""
        if elapsed >= self._least and self.calls >= self._load.min_requests and self.objection() is None:
            return "passed"
        return "spent" if self.calls >= self._load.max_requests and elapsed >= self._least else None

    def latency(self) -> float | None:
        """Return the quantile that the plan asks about, over the window; None before the first good call."""
        good = [latency for latency in self._window() if latency is not None]
        return nearest_rank(good, self._success.latency.quantile) if good else None

    def objection(self) -> str | None:
        """Return why the last calls do not pass yet; None where they do."""
        window = self._window()
        if len(window) < self._success.window:
            return f"{len(window)} calls of a window of {self._success.window}"
        failed = sum(latency is None for latency in window)
        if failed > self._success.max_failures:
            return f"{failed} of the last {len(window)} calls failed: {self.said}"
        found = self.latency()
        if found is None or found > self._longest:
            at = "" if found is None else f" is {found * 1000:.1f} ms,"
            return f"p{self._success.latency.quantile * 100:g}{at} above {self._success.latency.max}"
        return self._unsteady()

    def _window(self) -> list[float | None]:
        return list(self._recent)[-self._success.window :]

    def _unsteady(self) -> str | None:
        steady = self._success.steady_state
        if steady is None:
            return None
        size = self._success.window
        if len(self._recent) < size * steady.windows:
            return f"{len(self._recent)} calls of {steady.windows} windows of {size}"
        calls = list(self._recent)
        parts = [[took for took in calls[at : at + size] if took is not None] for at in range(0, len(calls), size)]
        medians = [median(part) for part in parts if part]
        least = min(medians, default=0.0)
        spread = max(medians) / least - 1 if least else 0.0
        if len(medians) < steady.windows or spread > steady.tolerance:
            return f"the medians of {steady.windows} windows differ by {spread:.0%}, more than {steady.tolerance:.0%}"
        return None
