"""What a document says of the selection of versions: one strategy, and what is common to all."""

import math
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from istio_templates.text.cron import cron_times
from istio_templates.text.time_zone import zone_of


def _is_amount(value: float | None) -> bool:
    return value is None or (math.isfinite(value) and value >= 0)


def _require(is_met: bool, what: str, right: str) -> None:
    if not is_met:
        raise ValueError(f"{what}: write {right}")


class Direction(StrEnum):
    """Which values of a metric are better."""

    HIGHER = "higher"
    LOWER = "lower"


class Measure(StrEnum):
    """What a limit is of: a metric of evaluations, or what is seen of the version that serves."""

    METRIC = "metric"
    LATENCY = "latency"
    ERRORS = "errors"
    COST = "cost"
    DRIFT = "drift"


class ThresholdFallback(StrEnum):
    """What serves where no version meets all limits."""

    KEEP = "keep"
    PREVIOUS = "previous"


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric of evaluations on one data set, and which values are better; fewer samples than the least say
    nothing."""

    name: str
    dataset: str
    direction: Direction = Direction.HIGHER
    min_samples: int = 1

    def gain(self, value: float, over: float) -> float:
        """Return by how much a value is better than another; negative: worse."""
        return value - over if self.direction is Direction.HIGHER else over - value

    def __str__(self) -> str:
        return f"{self.name} on {self.dataset}"


@dataclass(frozen=True, slots=True)
class DataDriven:
    """The version with the newest data, if its data is newer than the served one's by at least `min_freshness`. With a
    `metric` its value is at least as good as the `floor`, and worse than the served one's by at most
    `max_regression`."""

    min_freshness: timedelta = timedelta(0)
    metric: Metric | None = None
    floor: float | None = None
    max_regression: float | None = None

    def __post_init__(self) -> None:
        _require(self.min_freshness >= timedelta(0), f"minFreshness {self.min_freshness}", "0 or more")
        has_bound = self.floor is not None or self.max_regression is not None
        _require(self.metric is not None or not has_bound, "a floor or maxRegression without a metric", "the metric")
        _require(self.floor is None or math.isfinite(self.floor), f"floor {self.floor}", "a finite number")
        _require(_is_amount(self.max_regression), f"maxRegression {self.max_regression}", "a finite number from 0 on")


@dataclass(frozen=True, slots=True)
class AccuracyDriven:
    """The version with the best value of a metric, if that is better than the served one's by `min_delta` or more."""

    metric: Metric
    min_delta: float = 0.0

    def __post_init__(self) -> None:
        _require(_is_amount(self.min_delta), f"minDelta {self.min_delta}", "a finite number from 0 on")


@dataclass(frozen=True, slots=True)
class ScoreWeights:
    """How much accuracy, latency, cost and errors count in a score; shares of their sum."""

    accuracy: float = 1.0
    latency: float = 0.0
    cost: float = 0.0
    errors: float = 0.0

    def __post_init__(self) -> None:
        weights = (self.accuracy, self.latency, self.cost, self.errors)
        _require(all(_is_amount(weight) for weight in weights), f"weights {weights}", "finite numbers from 0 on")
        _require(0 < sum(weights) < math.inf, f"weights {weights}", "at least one above 0")


@dataclass(frozen=True, slots=True)
class PeriodicBest:
    """At each moment of a cron, on the clocks of a zone: the version with the best score of those evaluated within
    `lookback` before, if it is better than the served one by `min_delta` (0.01: one per cent, weighted)."""

    metric: Metric
    cron: str
    zone: str = "UTC"
    lookback: timedelta = timedelta(days=30)
    weights: ScoreWeights = ScoreWeights()
    min_delta: float = 0.0

    def __post_init__(self) -> None:
        cron_times(self.cron)
        zone_of(self.zone)
        _require(self.lookback > timedelta(0), f"lookback {self.lookback}", "more than 0")
        _require(_is_amount(self.min_delta), f"minDelta {self.min_delta}", "a finite number from 0 on")


@dataclass(frozen=True, slots=True)
class VersionLimits:
    """Bounds of one measure, least and most (None: no bound); `name` is that of its live values."""

    name: str
    measure: Measure
    least: float | None = None
    most: float | None = None
    metric: Metric | None = None

    def __post_init__(self) -> None:
        bounds = [bound for bound in (self.least, self.most) if bound is not None]
        _require(bool(bounds) and all(map(math.isfinite, bounds)), f"limit {self.name}", "a finite min, max or both")
        _require(bounds == sorted(bounds), f"limit {self.name}: min above max", "min below max")
        is_metric = self.measure is Measure.METRIC
        _require(is_metric == (self.metric is not None), f"limit {self.name}", "a metric exactly for measure metric")

    def margin(self, value: float) -> float:
        """Return how far a value is within the nearest bound, as a share of it; negative: beyond it."""
        inside = [(value - self.least, self.least)] if self.least is not None else []
        inside += [(self.most - value, self.most)] if self.most is not None else []
        return min(room / (abs(bound) or 1.0) for room, bound in inside)

    def __str__(self) -> str:
        least = "" if self.least is None else f"{self.least:g} <= "
        most = "" if self.most is None else f" <= {self.most:g}"
        return f"{least}{self.name}{most}"


@dataclass(frozen=True, slots=True)
class Threshold:
    """Another version once the served one has been beyond a limit for `lasting`: the one that meets all of them with
    the most room. None: by the fallback."""

    limits: tuple[VersionLimits, ...]
    lasting: timedelta = timedelta(minutes=10)
    fallback: ThresholdFallback = ThresholdFallback.KEEP

    def __post_init__(self) -> None:
        names = [limit.name for limit in self.limits]
        _require(bool(names) and len(set(names)) == len(names), "limits", "at least one, each with a name of its own")
        _require(self.lasting >= timedelta(0), f"for {self.lasting}", "0 or more")


@dataclass(frozen=True, slots=True)
class Manual:
    """The version that a person pins, or that has the alias, and no other."""

    alias: str | None = None


Strategy = DataDriven | AccuracyDriven | PeriodicBest | Threshold | Manual
STRATEGY_NAMES: dict[type, str] = {
    DataDriven: "dataDriven",
    AccuracyDriven: "accuracyDriven",
    PeriodicBest: "periodicBest",
    Threshold: "threshold",
    Manual: "manual",
}


@dataclass(frozen=True, slots=True)
class SelectionRules:
    """The strategy; how long a version serves at least before another one is released; and how long a decision may
    wait for its release. Whatever the strategy is, a pin overrides it: with the approval of so many other persons, and
    until its end, or `pin_ttl` after its beginning."""

    strategy: Strategy
    cool_down: timedelta = timedelta(hours=24)
    max_delay: timedelta = timedelta(days=7)
    approvers: int = 0
    pin_ttl: timedelta | None = None

    def __post_init__(self) -> None:
        _require(self.cool_down >= timedelta(0), f"coolDown {self.cool_down}", "0 or more")
        _require(self.max_delay > timedelta(0), f"maxDelay {self.max_delay}", "more than 0")
        _require(self.approvers >= 0, f"approvers {self.approvers}", "0 or more")
        _require(self.pin_ttl is None or self.pin_ttl > timedelta(0), f"pinTtl {self.pin_ttl}", "more than 0")
