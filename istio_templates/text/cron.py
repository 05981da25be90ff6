"""Moments in cron's five fields (minute, hour, day of month, month, day of week), in UTC. Pure.

As crontab(5) has it: `*`, numbers, ranges, steps and lists; Sunday is 0 and 7. Where both days are given, one of them
is enough; a field that begins with `*` gives none.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache

LONGEST = 200
"""Characters."""
_DAYS_OF_MONTHS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_PART = re.compile(r"(\*|[0-9]{1,2}(?:-[0-9]{1,2})?)(?:/([0-9]{1,2}))?")
_RIGHT = "minute, hour, day of month, month and day of week, such as 0 8 * * 1-5"


@dataclass(frozen=True, slots=True)
class CronField:
    """One field: its name, and the numbers that it may have."""

    name: str
    lowest: int
    highest: int


_FIELDS = (
    CronField("minute", 0, 59),
    CronField("hour", 0, 23),
    CronField("day of month", 1, 31),
    CronField("month", 1, 12),
    CronField("day of week", 0, 7),
)


@dataclass(frozen=True, slots=True)
class CronTimes:
    """The minutes that fit, in ascending order, and whether days of the month and of the week are given."""

    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    has_days: bool
    has_weekdays: bool

    def fits(self, moment: datetime) -> bool:
        """Tell whether a minute fits."""
        moment = moment.astimezone(UTC)
        return moment.minute in self.minutes and moment.hour in self.hours and self._has_day(moment)

    @property
    def most_of_day(self) -> int:
        """How many moments a day has at the most."""
        return len(self.minutes) * len(self.hours)

    def last(self, moment: datetime) -> datetime | None:
        """Return the last minute that fits and is not after a moment, of its day and the one before; None where there
        is none."""
        moment = moment.astimezone(UTC)
        for day in (moment, moment.replace(hour=23, minute=59) - timedelta(days=1)):
            if self._has_day(day):
                for hour in reversed([one for one in self.hours if one <= day.hour]):
                    latest = day.minute if hour == day.hour else 59
                    if found := [one for one in self.minutes if one <= latest]:
                        return day.replace(hour=hour, minute=found[-1], second=0, microsecond=0)
        return None

    def _has_day(self, day: datetime) -> bool:
        if day.month not in self.months:
            return False
        by_month, by_week = day.day in self.days, day.isoweekday() % 7 in self.weekdays
        return by_month or by_week if self.has_days and self.has_weekdays else by_month and by_week


@lru_cache(4096)
def cron_times(text: str) -> CronTimes:
    """Return the moments in a text; `ValueError` for what is none, or never comes."""
    words = text.split() if len(text) <= LONGEST else []
    if len(words) != len(_FIELDS):
        raise ValueError(f"{text[:80]!r} has not five fields; write {_RIGHT}")
    minutes, hours, days, months, weekdays = (
        frozenset(_numbers(word, field)) for word, field in zip(words, _FIELDS, strict=True)
    )
    has_days, has_weekdays = (not words[place].startswith("*") for place in (2, 4))
    if not has_weekdays and all(min(days) > _DAYS_OF_MONTHS[month - 1] for month in months):
        raise ValueError(f"{text[:80]!r} never comes: no such month has that day; write {_RIGHT}")
    weekdays = frozenset(number % 7 for number in weekdays)
    return CronTimes(tuple(sorted(minutes)), tuple(sorted(hours)), days, months, weekdays, has_days, has_weekdays)


def _numbers(word: str, field: CronField) -> set[int]:
    """Return the numbers in a field."""
    found = set[int]()
    for part in word.split(","):
        match = _PART.fullmatch(part)
        if match is None:
            raise ValueError(f"{part[:40]!r} is no {field.name}; write *, 5, 1-5, */15 or a list of those")
        first, last = _ends(match[1], field, is_open=match[2] is not None)
        step = int(match[2] or 1)
        if not field.lowest <= first <= last <= field.highest or step == 0:
            said = f"{field.lowest} to {field.highest}, ranges upwards, steps from 1 on"
            raise ValueError(f"{part[:40]!r} is no {field.name}; write numbers from {said}")
        found |= set(range(first, last + 1, step))
    return found


def _ends(text: str, field: CronField, is_open: bool) -> tuple[int, int]:
    """Return the first and the last number of a part; one number with a step goes up to the end."""
    if text == "*":
        return field.lowest, field.highest
    first, _, last = text.partition("-")
    return int(first), int(last) if last else (field.highest if is_open else int(first))
