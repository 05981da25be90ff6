"""When releases may go on: windows of a model, freezes of a tenant or of all tenants of a gateway."""

from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from istio_templates.documents.autoscale import Cron
from istio_templates.documents.fields import DAY, DnsLabel, LongDuration, Spec, seconds
from istio_templates.documents.override import Moment, moment
from istio_templates.text.cron import cron_times
from istio_templates.text.time_zone import zone_of

ZONE_MAX = 64
SHORTEST = 300
MOST_OF_DAY = 24


def _zone(value: str) -> str:
    zone_of(value)
    return value


TimeZone = Annotated[str, Field(min_length=1, max_length=ZONE_MAX), AfterValidator(_zone)]


def _rare(value: str) -> str:
    if (found := cron_times(value).most_of_day) > MOST_OF_DAY:
        raise ValueError(f"{value} comes {found} times a day, and at most {MOST_OF_DAY} are looked at; give a length")
    return value


RareCron = Annotated[Cron, AfterValidator(_rare)]
"""Moments that are not many: to find the next one takes a look at each of some days."""


def _lasting(length: str) -> None:
    if seconds(length) < SHORTEST:
        raise ValueError(f"length: {length} is below 5m; no step is shorter than what it is looked at for")


class RolloutWindow(Spec):
    """For `length` from each moment of `cron` on (five fields, by the clocks of `timeZone`) steps may begin."""

    cron: RareCron
    length: LongDuration
    time_zone: TimeZone = "UTC"

    @model_validator(mode="after")
    def _lasts(self) -> "RolloutWindow":
        _lasting(self.length)
        return self


class LowTraffic(Spec):
    """Steps begin in quiet hours, chosen by the requests of the last four weeks.

    A release is estimated to take `length`, and waits for its hours for `maxDelay` at most. In these hours the load is
    at most `peakPercent` of the week's peak as a rule, and no step begins while it is above that, or above `excess`
    times what is usual then.
    """

    length: LongDuration = "2h"
    max_delay: LongDuration = "168h"
    time_zone: TimeZone = "UTC"
    peak_percent: int = Field(default=30, ge=1, le=100, strict=True)
    excess: float = Field(default=1.25, ge=1, le=100, allow_inf_nan=False)

    @model_validator(mode="after")
    def _lasts(self) -> "LowTraffic":
        _lasting(self.length)
        for name, value, most in (("length", self.length, 7 * DAY), ("maxDelay", self.max_delay, 30 * DAY)):
            if not SHORTEST <= seconds(value) <= most:
                raise ValueError(f"{name}: {value} is not between 5m and {most // DAY} days")
        return self


class ReleaseFreeze(Spec):
    """A time in which no release begins or takes a step: once, from `start` until `end`, or for `length`
    from each moment of `cron` on."""

    name: DnsLabel
    start: Moment | None = None
    end: Moment | None = None
    cron: RareCron | None = None
    length: LongDuration | None = None
    time_zone: TimeZone = "UTC"

    @model_validator(mode="after")
    def _one_time(self) -> "ReleaseFreeze":
        once, again = (self.start, self.end), (self.cron, self.length)
        if None not in once and again == (None, None):
            assert self.start is not None and self.end is not None
            if moment(self.end) <= moment(self.start):
                raise ValueError(f"end: {self.end} is not after start {self.start}")
        elif None not in again and once == (None, None):
            assert self.length is not None
            _lasting(self.length)
        else:
            raise ValueError("give start and end of a freeze that comes once, or cron and length of one that recurs")
        return self


def _own_names(freezes: tuple[ReleaseFreeze, ...]) -> tuple[ReleaseFreeze, ...]:
    if len({freeze.name for freeze in freezes}) < len(freezes):
        raise ValueError("two have the same name; each needs its own")
    return freezes


ReleaseFreezes = Annotated[tuple[ReleaseFreeze, ...], Field(max_length=50), AfterValidator(_own_names)]
"""Freezes with names of their own."""
