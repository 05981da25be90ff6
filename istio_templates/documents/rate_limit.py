"""Limits of a model and of its versions: what a replica serves, bounds, modes, patience and fallbacks."""

from typing import Literal

from pydantic import Field, model_validator

from istio_templates.documents.fields import Duration, Rate, Spec, seconds


class VersionLimit(Spec):
    """A limit of one version's own, in requests/s: what its ready replicas serve, between floor and ceiling."""

    floor: Rate = 1
    ceiling: Rate | None = None

    @model_validator(mode="after")
    def _bounds(self) -> "VersionLimit":
        _ordered(self.floor, self.ceiling)
        return self


def _ordered(floor: float, ceiling: float | None) -> None:
    if ceiling is not None and floor > ceiling:
        raise ValueError(f"floor {floor:g} is above ceiling {ceiling:g}")


class Patience(Spec):
    """How long a change must hold still (`quiet`), and how long it may be delayed at most (`longest`)."""

    quiet: Duration
    longest: Duration

    @model_validator(mode="after")
    def _ordered(self) -> "Patience":
        if seconds(self.quiet) > seconds(self.longest):
            raise ValueError(f"quiet {self.quiet} is above longest {self.longest}")
        return self


class Debounce(Spec):
    """Cuts go out soon, since they protect replicas; raises when the count has been stable."""

    down: Patience = Patience(quiet="200ms", longest="1s")
    up: Patience = Patience(quiet="5s", longest="30s")


class Fallback(Spec):
    """The limit without a ready replica (`cold`) and without a fresh view of the world (`stale`)."""

    cold: Literal["hold", "floor", "closed"] = "hold"
    stale: Literal["hold", "floor", "closed"] = "hold"


class Ramp(Spec):
    """In how long a limit in mode ramp comes to be enforced for all requests, in steps of five per cent."""

    over: Duration = "30m"


class ShadowVerdict(Spec):
    """What a limit in shadow has to show before it is enforced: over so long, at most so many per cent of the requests
    beyond it."""

    refused_at_most: float = Field(default=1, ge=0, le=100, allow_inf_nan=False)
    over: Duration = "10m"

    @model_validator(mode="after")
    def _counted(self) -> "ShadowVerdict":
        if not 60 <= seconds(self.over) <= 3600:
            raise ValueError(f"over {self.over} is not between 1m and 1h; counts are kept by the minute for an hour")
        return self


class RateLimit(Spec):
    """Requests per second that the model takes.

    `burst` is in seconds of a gateway pod's rate. `weight` says how much of the tenant's ceiling it gets beside others.
    In mode `shadow` no request is refused, and those that would have been are counted; `ramp` enforces for a growing
    share. With a `verdict`, shadow is left only once it has shown enough.
    """

    per_replica_qps: Rate
    burst: Duration = "100ms"
    floor: Rate = 1
    ceiling: Rate | None = None
    weight: int | None = Field(default=None, ge=1, le=1000, strict=True)
    mode: Literal["off", "shadow", "ramp", "enforce"] = "enforce"
    ramp: Ramp = Ramp()
    verdict: ShadowVerdict | None = None
    debounce: Debounce = Debounce()
    fallback: Fallback = Fallback()

    @model_validator(mode="after")
    def _bounds(self) -> "RateLimit":
        _ordered(self.floor, self.ceiling)
        if seconds(self.burst) > 60:
            raise ValueError(f"burst {self.burst} is longer than 60s")
        return self
