"""Moments as Kubernetes writes them. Pure."""

from datetime import UTC, datetime


def timestamp(moment: datetime) -> str:
    """Return a moment in UTC to the second (RFC 3339)."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def timestamp_at(second: float) -> str:
    """Return a moment in epoch seconds in the same form."""
    return timestamp(datetime.fromtimestamp(second, UTC))
