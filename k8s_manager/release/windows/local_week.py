"""Slots of five minutes, and which slot of the local week each of them is.

A slot is counted from the epoch in UTC. The local week has 2,016 slots and begins on Monday at midnight; on days when
the clocks change, some slots of the week come twice or not at all.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from istio_templates.text.time_zone import zone_of

STEP = timedelta(minutes=5)
STEP_SECONDS = 300
DAY_SLOTS = 288
WEEK_SLOTS = 7 * DAY_SLOTS
_EPOCH_WEEKDAY = 3
"""1970 began on a Thursday."""


def slot_of(moment: datetime) -> int:
    """Return the slot that a moment is in."""
    return int(moment.timestamp() // STEP_SECONDS)


def next_slot(moment: datetime) -> int:
    """Return the first slot that begins at a moment or after it."""
    return -int(-moment.timestamp() // STEP_SECONDS)


def moment_of(slot: int) -> datetime:
    """Return when a slot begins, in UTC."""
    return datetime.fromtimestamp(slot * STEP_SECONDS, UTC)


def week_slots(zone: str, first: int, count: int) -> list[int]:
    """Return the slot of the local week of each of `count` slots."""
    shift = _EPOCH_WEEKDAY * DAY_SLOTS
    return [(first + at + shift + offset) % WEEK_SLOTS for at, offset in enumerate(_offsets(zone, first, count))]


def changes_clocks(zone: str, first: int, count: int) -> bool:
    """Tell whether the zone's offset to UTC changes within `count` slots."""
    return len(set(_offsets(zone, first, count))) > 1


def last_change(zone: str, first: int, count: int) -> int:
    """Return the slot from which on the zone has the offset of the last of `count` slots; `first` without a change."""
    offsets = list(_offsets(zone, first, count))
    same = next((at for at, offset in enumerate(reversed(offsets)) if offset != offsets[-1]), count)
    return first + count - same


def _offsets(zone: str, first: int, count: int) -> Iterator[int]:
    """Yield the offset to UTC of each slot, in slots; looked up for each slot only on days when it changes."""
    tz = zone_of(zone)
    for begins in range(first, first + count, DAY_SLOTS):
        size = min(DAY_SLOTS, first + count - begins)
        offset = _offset(tz, begins)
        if offset == _offset(tz, begins + size):
            yield from [offset] * size
        else:
            yield from (_offset(tz, slot) for slot in range(begins, begins + size))


def _offset(zone: ZoneInfo, slot: int) -> int:
    offset = datetime.fromtimestamp(slot * STEP_SECONDS, zone).utcoffset()
    return 0 if offset is None else round(offset.total_seconds() / STEP_SECONDS)
