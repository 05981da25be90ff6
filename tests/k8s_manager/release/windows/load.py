"""Weeks of load for tests: one value for every five minutes, made by the local hour and weekday."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from k8s_manager.release.windows.load_history import LoadHistory

STEP = timedelta(minutes=5)
NOW = datetime(2026, 6, 1, tzinfo=UTC)
"""A Monday."""


def day_and_night(local: datetime) -> float:
    """Return 100/s by day, 10/s at night, and 5/s from 02:00 to 05:00 on Thursdays."""
    if local.weekday() == 3 and 2 <= local.hour < 5:
        return 5.0
    return 100.0 if 8 <= local.hour < 20 else 10.0


def history(
    rate: Callable[[datetime], float | None], days: float = 28, zone: str = "UTC", now: datetime = NOW
) -> LoadHistory:
    """Return a history that ends `now`."""
    count = int(days * 288)
    first, tz = now - count * STEP, ZoneInfo(zone)
    return LoadHistory(first, [rate((first + at * STEP).astimezone(tz)) for at in range(count)])
