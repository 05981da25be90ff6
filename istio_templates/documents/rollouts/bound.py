"""Bounds of what is measured, as documents write them: a share, a duration, or a number. Pure."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from istio_templates.documents.fields import brief, seconds


def _share(bound: Any) -> float:
    found = float(bound[:-1]) if isinstance(bound, str) and re.fullmatch(r"[0-9]{1,3}(\.[0-9]{1,4})?%", bound) else -1.0
    if not 0 <= found <= 100:
        raise ValueError(f"{brief(bound)} is no share; write a string such as 1%")
    return found / 100


def _duration(bound: Any) -> float:
    if not isinstance(bound, str):
        raise ValueError(f"{brief(bound)} is no duration; write a string with its unit, such as 200ms")
    return float(seconds(bound))


def _number(bound: Any) -> float:
    if not isinstance(bound, int | float) or not -1e15 < bound < 1e15:  # no NaN is
        raise ValueError(f"{brief(bound)} is no number; write what the query may come to, such as 0.03")
    return float(bound)


BOUND_READERS: Mapping[str, Callable[[Any], float]] = {"outcome": _share, "quantile": _duration, "prometheus": _number}
"""Return the bound of an outcome's share as a figure, of a latency in seconds, or of a query; raise `ValueError`."""
