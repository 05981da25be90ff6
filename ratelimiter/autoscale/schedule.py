"""The least number of replicas at a moment: schedules raise it for a time."""

from datetime import UTC, datetime

from istio_templates.documents.autoscale import Schedule, VersionAutoscale
from istio_templates.documents.fields import seconds
from istio_templates.text.cron import cron_times


def is_in_force(schedule: Schedule, now: datetime) -> bool:
    """Tell whether a schedule raises the least number at a moment."""
    began = cron_times(schedule.cron).last(now)
    return began is not None and (now.astimezone(UTC) - began).total_seconds() < seconds(schedule.length)


def least_at(document: VersionAutoscale, now: datetime) -> int:
    """Return the least number of replicas in force at a moment."""
    return max(document.min, *(one.min for one in document.schedules if is_in_force(one, now)), 0)
