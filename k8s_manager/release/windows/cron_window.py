"""Windows that begin at the moments of a cron text, by the clocks of a time zone.

A local time that a change of the clocks leaves out begins its window as much later as the clocks went forward (02:30
becomes 03:30 of summer time); one that comes twice begins it once, the first time.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from istio_templates.text.cron import CronTimes, cron_times
from istio_templates.text.time_zone import zone_of
from k8s_manager.release.windows.time_range import TimeRange, united

LONGEST_CRON_WINDOW = timedelta(days=31)
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class CronWindow:
    """For `length` from each moment of `cron` (five fields) on the clocks of `zone`.

    Raises `ValueError` for a cron text or a zone that is none, and for a length that is not positive or over 31 days.
    """

    cron: str
    length: timedelta
    zone: str = "UTC"

    def __post_init__(self) -> None:
        cron_times(self.cron)
        zone_of(self.zone)
        if not timedelta(0) < self.length <= LONGEST_CRON_WINDOW:
            raise ValueError(f"a window of {self.length} from {self.cron}: write a length of up to 31 days")

    def spans(self, begins: datetime, ends: datetime) -> list[TimeRange]:
        """Return its spans that overlap a time, those that touch or overlap each other as one."""
        whole = TimeRange(begins, ends)
        moments = self._moments(begins - self.length, ends)
        return united(span for at in moments if (span := TimeRange(at, at + self.length)).overlaps(whole))

    def holds(self, moment: datetime) -> bool:
        """Tell whether a moment is in one of its spans."""
        return self.end_at(moment) is not None

    def end_at(self, moment: datetime) -> datetime | None:
        """Return when the span ends that has begun last and holds a moment; None where none does."""
        began = last_moment(self.cron, self.zone, moment, self.length + _DAY)
        return began + self.length if began is not None and moment < began + self.length else None

    def begin_after(self, moment: datetime, farthest: timedelta) -> datetime | None:
        """Return the first beginning behind a moment; None where there is none for so long."""
        times, zone = cron_times(self.cron), zone_of(self.zone)
        today = moment.astimezone(zone).date()
        for ahead in range(farthest // _DAY + 2):
            moments = _moments_of_day(times, today + ahead * _DAY, zone)
            if (found := min((at for at in moments if at > moment), default=None)) is not None:
                return found if found - moment <= farthest else None
        return None

    def _moments(self, begins: datetime, ends: datetime) -> Iterator[datetime]:
        """Yield its moments, in UTC, of all local days that a time touches."""
        times, zone = cron_times(self.cron), zone_of(self.zone)
        day, last = begins.astimezone(zone).date() - _DAY, ends.astimezone(zone).date()
        for ahead in range((last - day).days + 1):
            yield from _moments_of_day(times, day + ahead * _DAY, zone)


def _moments_of_day(times: CronTimes, day: date, zone: ZoneInfo) -> Iterator[datetime]:
    # The clock's own time is labelled as UTC, since that is what cron's fields are compared with.
    if times.fits(datetime.combine(day, time(times.hours[0], times.minutes[0]), UTC)):
        for hour in times.hours:
            for minute in times.minutes:
                yield datetime.combine(day, time(hour, minute), zone).astimezone(UTC)


def last_moment(cron: str, zone: str, now: datetime, farthest: timedelta) -> datetime | None:
    """Return the last moment of a cron that is not after now, on the clocks of a zone; None within `farthest` back."""
    times, clock = cron_times(cron), zone_of(zone)
    today = now.astimezone(clock).date()
    for back in range(farthest // _DAY + 1):
        moments = _moments_of_day(times, today - back * _DAY, clock)
        if found := max((at for at in moments if at <= now), default=None):
            return found
    return None
