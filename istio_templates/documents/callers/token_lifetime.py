"""For how long a token is good: a text such as `90d` or `12h`."""

import re
from datetime import timedelta
from typing import Annotated

from pydantic import AfterValidator, Field

from istio_templates.documents.fields import brief

_LIFETIME = r"([0-9]{1,9}[smhd])+"
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
SHORTEST, LONGEST = timedelta(minutes=1), timedelta(days=366)


def lifetime(text: str) -> timedelta:
    """Return the length of time in a text; `ValueError` where that is not from 1 minute to 366 days."""
    if len(text) > 40 or not re.fullmatch(_LIFETIME, text):
        raise ValueError(f"{brief(text)} is no lifetime; write a number with its unit (s, m, h, d), such as 90d or 12h")
    seconds = sum(int(number) * _UNITS[unit] for number, unit in re.findall(r"([0-9]+)([smhd])", text))
    if not SHORTEST.total_seconds() <= seconds <= LONGEST.total_seconds():
        raise ValueError(f"{brief(text)} is no lifetime of a token; those are from 1m to {LONGEST.days}d")
    return timedelta(seconds=seconds)


def _checked(text: str) -> str:
    lifetime(text)
    return text


TokenLifetime = Annotated[
    str, AfterValidator(_checked), Field(json_schema_extra={"pattern": f"^{_LIFETIME}$", "maxLength": 40})
]
