"""Time zones by their names in the IANA database."""

from functools import lru_cache
from zoneinfo import ZoneInfo


@lru_cache(1024)
def zone_of(name: str) -> ZoneInfo:
    """Return a time zone of the IANA database; `ValueError` where there is none of that name."""
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, KeyError) as error:
        raise ValueError(f"{name[:80]!r} is no time zone; write a name such as Europe/Berlin or UTC") from error
