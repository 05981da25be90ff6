"""What a version that serves has to keep to, by the strategy `threshold`: a limit of a metric, of what is live, or of
drift."""

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from istio_templates.documents.autoscale_signal import Query, Target
from istio_templates.documents.fields import Spec, brief
from istio_templates.documents.rollouts.bound import BOUND_READERS
from istio_templates.documents.versions.model_version import Named

LiveMeasure = Literal["latency", "errors"]
LEAST_REQUESTS = 100
"""Requests in five minutes without which live figures say nothing, where a limit does not say another number."""
_READ_AS = {"latency": "quantile", "errors": "outcome"}


class SelectionMetric(Spec):
    """A metric of evaluations on one data set; an evaluation of fewer samples says nothing."""

    name: Named
    dataset: Named
    direction: Literal["higher", "lower"] = "higher"
    min_samples: int = Field(default=1, ge=1, le=2**53, strict=True)


class DriftSource(Spec):
    """Where the drift of live data is measured: a metric of evaluations of the version that serves, posted as they are
    made, or a Prometheus query."""

    metric: SelectionMetric | None = None
    prometheus: Query | None = None

    @model_validator(mode="after")
    def _one(self) -> "DriftSource":
        if (self.metric is None) == (self.prometheus is None):
            raise ValueError("drift: give either metric or prometheus")
        return self


class SelectionLimit(Spec):
    """Between which values a metric of the version that serves has to be, its live latency (99th percentile) or share
    of errors, or its drift; live figures of fewer requests than `minRequests` in five minutes say nothing.

    A version that is chosen instead keeps to it too, by what is registered of it; against drift its data is newer.
    """

    metric: SelectionMetric | None = None
    live: LiveMeasure | None = None
    drift: DriftSource | None = None
    least: Target | None = Field(default=None, alias="min")
    most: Target | None = Field(default=None, alias="max")
    min_requests: Annotated[int, Field(ge=1, le=10_000_000, strict=True)] | None = None

    @property
    def place(self) -> tuple[str, ...]:
        """What it is about; no two limits are about the same."""
        if self.metric is not None:
            return self.metric.name, self.metric.dataset
        return (self.live or "drift",)

    @property
    def bounds(self) -> tuple[float | None, float | None]:
        """The least and the most: seconds, a share as a figure, or a number."""
        least, most = (None if bound is None else self._read(bound) for bound in (self.least, self.most))
        return least, most

    def _read(self, bound: Any) -> float:
        if self.metric is not None and isinstance(bound, int | float) and abs(bound) < float("inf"):
            return float(bound)
        return BOUND_READERS[_READ_AS.get(self.live or "", "prometheus")](bound)

    @model_validator(mode="after")
    def _fits(self) -> "SelectionLimit":
        if flaws := list(_limit_flaws(self)):
            raise ValueError("; ".join(flaws))
        return self


def _limit_flaws(limit: SelectionLimit) -> Iterator[str]:
    if sum(one is not None for one in (limit.metric, limit.live, limit.drift)) != 1:
        yield "give exactly one of metric, live and drift"
        return
    if limit.least is None and limit.most is None:
        yield "give min, max or both" if limit.metric else "max: is missing"
        return
    if limit.metric is None and limit.least is not None:
        yield "min: only a metric has one; take it out"
    if limit.live is None and limit.min_requests is not None:
        yield "minRequests: only live figures are of requests; take it out"
    try:
        least, most = limit.bounds
    except ValueError as error:
        yield str(error)
        return
    if least is not None and most is not None and least > most:
        yield f"min {brief(limit.least)} is above max {brief(limit.most)}; swap them"
