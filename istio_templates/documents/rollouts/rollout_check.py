"""What has to hold of a new version's requests while it is rolled out."""

from collections.abc import Iterator
from typing import Any, Literal

from pydantic import Field, model_validator

from istio_templates.documents.autoscale_signal import Name, Query, Target
from istio_templates.documents.fields import Spec
from istio_templates.documents.rollouts.bound import BOUND_READERS
from istio_templates.documents.rollouts.external_check import CheckJob, WebhookAddress

Outcome = Literal["5xx", "4xx", "noAnswer"]
SOURCES = ("outcome", "quantile", "prometheus", "webhook", "job")
BOUNDS = ("max", "min", "or_times_stable")


class RolloutCheck(Spec):
    """What has to hold of the new version's requests: the share of an `outcome`, the latency at a `quantile`, the
    figure of a `prometheus` query, what a `webhook` answers, or how a `job` ends.

    Of the first three, it holds up to `max` and from `min` on; with `orTimesStable` also up to so many times what the
    stable version has in the same minutes.
    """

    name: Name
    outcome: Outcome | None = None
    quantile: float | None = Field(default=None, ge=0.5, le=0.999)
    prometheus: Query | None = None
    webhook: WebhookAddress | None = None
    job: CheckJob | None = None
    max: Target | None = None
    min: Target | None = None
    or_times_stable: float | None = Field(default=None, ge=1, le=100, allow_inf_nan=False)

    @property
    def most(self) -> float | None:
        """The bound `max` in its unit: a share as a figure, seconds, or a number."""
        return None if self.max is None else self._read(self.max)

    @property
    def least(self) -> float | None:
        """The bound `min` of a query."""
        return None if self.min is None else self._read(self.min)

    def _read(self, bound: Any) -> float:
        return BOUND_READERS[_source(self)](bound)

    @model_validator(mode="after")
    def _fits(self) -> "RolloutCheck":
        if flaws := list(_check_flaws(self)):
            raise ValueError("; ".join(flaws))
        return self


def _source(check: RolloutCheck) -> str:
    """Return what a check reads."""
    return "outcome" if check.outcome else "quantile" if check.quantile else "prometheus"


def _check_flaws(check: RolloutCheck) -> Iterator[str]:
    given = [name for name in SOURCES if getattr(check, name) is not None]
    if len(given) != 1:
        said = f"has {' and '.join(given)}" if given else "has no source"
        yield f"{check.name} {said}; give exactly one of {', '.join(SOURCES[:-1])} and {SOURCES[-1]}"
        return
    if given[0] in ("webhook", "job"):
        if any(getattr(check, name) is not None for name in BOUNDS):
            yield f"{check.name} has bounds, and a {given[0]} decides by itself; take max, min and orTimesStable out"
        return
    is_query = given == ["prometheus"]
    if not is_query and check.min is not None:
        yield f"min: only a prometheus query has one; take it out of {check.name}"
    if is_query and check.or_times_stable is not None:
        yield f"orTimesStable: a query is asked once, for no version; take it out of {check.name}"
    if check.max is None and check.min is None and check.or_times_stable is None:
        bounds = "max or min" if is_query else "max, orTimesStable or both"
        yield f"{check.name} bounds nothing; give {bounds}"
    try:
        if check.most is not None and check.least is not None and check.least > check.most:
            yield f"min {check.min} is above max {check.max}"
    except ValueError as error:
        yield f"{check.name}: {error}"
