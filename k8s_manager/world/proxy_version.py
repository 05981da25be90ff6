"""Versions of the proxies in gateway pods, and which of them are too old. Pure."""

import re

OLDEST_ISTIO = (1, 30)


def parsed(version: str) -> tuple[int, int] | None:
    """Return major and minor of a version; None where it is none, as with private images."""
    found = re.match(r"v?(\d+)\.(\d+)", version)
    return (int(found[1]), int(found[2])) if found else None


def too_old(version: str | None) -> bool:
    """Tell whether a gateway pod's proxy is known to be too old for the limits."""
    number = parsed(version) if version else None
    return number is not None and number < OLDEST_ISTIO
