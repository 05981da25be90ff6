"""Moments as Kubernetes writes them. Pure."""

from datetime import datetime


def timestamp(moment: datetime) -> str:
    """Return a moment in UTC to the second (RFC 3339)."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
