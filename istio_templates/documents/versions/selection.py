"""Selection of a Model: by which strategy a version is chosen among those that are registered."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from istio_templates.documents.fields import LongDuration, Spec, seconds
from istio_templates.documents.rollouts.release_time import RareCron, TimeZone
from istio_templates.documents.versions.model_version import Amount
from istio_templates.documents.versions.registry_source import Alias, RegistrySource
from istio_templates.documents.versions.selection_limit import SelectionLimit, SelectionMetric
from istio_templates.documents.versions.version_template import VersionTemplate

Finite = Annotated[float, Field(allow_inf_nan=False)]
LONGEST_LIVE = 4 * 3600
"""Most seconds for which live figures are looked back."""
_TAKES: dict[str, tuple[str, ...]] = {
    "dataDriven": ("min_freshness", "metric", "floor", "max_regression"),
    "accuracyDriven": ("metric", "min_delta"),
    "periodicBest": ("metric", "min_delta", "cron", "time_zone", "lookback", "weights"),
    "threshold": ("limits", "lasting", "fallback"),
    "manual": ("alias",),
}
_NEEDS: dict[str, tuple[str, ...]] = {
    "accuracyDriven": ("metric",),
    "periodicBest": ("metric", "cron"),
    "threshold": ("limits",),
}
_COMMON = ("strategy", "cool_down", "max_delay", "pin_ttl", "version_template", "registry")


class SelectionWeights(Spec):
    """How much each counts in a score; shares of their sum."""

    accuracy: Amount = 1
    latency: Amount = 0
    cost: Amount = 0
    errors: Amount = 0

    @model_validator(mode="after")
    def _counts(self) -> "SelectionWeights":
        if not 0 < self.accuracy + self.latency + self.cost + self.errors < float("inf"):
            raise ValueError("give at least one weight above 0, and none beyond all bounds")
        return self


class VersionSelection(Spec):
    """How a version is chosen. `dataDriven`: the newest data; `accuracyDriven`: the best value of a metric;
    `periodicBest`: the best score at each moment of a cron; `threshold`: another one once the served version has been
    beyond a limit for long enough, by its evaluations or by what is live; `manual`: the one that has the `alias`,
    without one the pinned one only. A pin goes before every strategy.

    Each strategy takes its own fields. A version serves for `coolDown` at least before another one is due, and a choice
    that was not carried out within `maxDelay` expires. With a `versionTemplate` a choice is carried out by itself, by a
    release. With a `registry` the versions of a registered model in MLflow are registered by themselves.
    """

    strategy: Literal["dataDriven", "accuracyDriven", "periodicBest", "threshold", "manual"]
    metric: SelectionMetric | None = None
    min_freshness: LongDuration | None = None
    floor: Finite | None = None
    max_regression: Amount | None = None
    min_delta: Amount | None = None
    cron: RareCron | None = None
    time_zone: TimeZone | None = None
    lookback: LongDuration | None = None
    weights: SelectionWeights | None = None
    limits: Annotated[tuple[SelectionLimit, ...], Field(max_length=16)] = ()
    lasting: LongDuration | None = Field(default=None, alias="for")
    fallback: Literal["keep", "previous"] | None = None
    cool_down: LongDuration = "24h"
    max_delay: LongDuration = "168h"
    pin_ttl: LongDuration | None = None
    alias: Alias | None = None
    registry: RegistrySource | None = None
    version_template: VersionTemplate | None = None

    @model_validator(mode="after")
    def _fits(self) -> "VersionSelection":
        takes, needs = _TAKES[self.strategy], _NEEDS.get(self.strategy, ())
        names = {name: info.alias or name for name, info in type(self).model_fields.items()}
        for name in names:
            given = getattr(self, name) not in (None, ())
            if given and name not in (*takes, *_COMMON):
                allowed = ", ".join(names[one] for one in takes)
                raise ValueError(f"{names[name]}: strategy {self.strategy} takes {allowed}; leave it out")
            if not given and name in needs:
                raise ValueError(f"{names[name]}: is missing; strategy {self.strategy} needs it")
        if self.metric is None and (self.floor is not None or self.max_regression is not None):
            raise ValueError("metric: is missing; floor and maxRegression are about it")
        return self

    @model_validator(mode="after")
    def _spans(self) -> "VersionSelection":
        for name, span in (("maxDelay", self.max_delay), ("lookback", self.lookback), ("pinTtl", self.pin_ttl)):
            if span is not None and not seconds(span):
                raise ValueError(f"{name}: {span} leaves no time; give more than 0")
        places = [limit.place for limit in self.limits]
        if len(set(places)) < len(places):
            raise ValueError("limits: two are about one metric on one data set, or the same figure; make them one")
        is_live = any(limit.live or (limit.drift and limit.drift.prometheus) for limit in self.limits)
        if is_live and self.lasting and seconds(self.lasting) > LONGEST_LIVE:
            raise ValueError(f"for: {self.lasting} is longer than live figures are looked back; give 4h at most")
        return self
