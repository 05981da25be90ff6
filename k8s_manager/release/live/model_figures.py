"""Live figures of a model's versions, from rows of their requests. Pure.

Each sample is of the five minutes before it, so that one odd minute decides nothing. Five minutes with fewer requests
than a limit asks for give no sample: missing figures never break a limit.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from collectors.access_log.latency import quantile
from collectors.access_log.rows import StatsRow
from collectors.request_statistics.series import MINUTE
from k8s_manager.release.decision.observation import VersionStatistics, version_statistics
from k8s_manager.release.selection.selection_rules import Measure
from k8s_manager.release.selection.version_facts import LiveSample

WINDOW = 5 * MINUTE
"""Seconds of requests behind one sample."""
SHARE = 0.99
"""The quantile that is compared: that of `latency` in a ModelVersion."""


@dataclass(frozen=True, slots=True)
class ModelFigures:
    """Samples by version and measure, the drift of the live data, and by measure why there are no figures, as a
    clause."""

    samples: Mapping[tuple[str, str], tuple[LiveSample, ...]] = field(default_factory=dict)
    drift: tuple[LiveSample, ...] = ()
    flaws: Mapping[str, str] = field(default_factory=dict)

    def of(self, version: str) -> dict[str, tuple[LiveSample, ...]]:
        """Return the samples of a version by measure, those that there are."""
        found = {measure: samples for (name, measure), samples in self.samples.items() if name == version}
        return {**found, Measure.DRIFT: self.drift} if self.drift else found


NO_FIGURES = ModelFigures()


def version_samples(
    rows: Sequence[StatsRow], since: int, until: int, least: Mapping[str, int]
) -> dict[tuple[str, str], tuple[LiveSample, ...]]:
    """Return a sample for each whole minute from `since` to `until` (epoch seconds); `least` are the measures, and how
    many requests each asks for."""
    by_version = dict[str, dict[int, list[StatsRow]]]()
    for row in rows:
        by_version.setdefault(row.key.place.version, {}).setdefault(row.key.start // MINUTE * MINUTE, []).append(row)
    found = dict[tuple[str, str], list[LiveSample]]()
    for version, minutes in by_version.items():
        for end in range(since + WINDOW, until + 1, MINUTE):
            window = [row for start in range(end - WINDOW, end, MINUTE) for row in minutes.get(start, ())]
            statistics, at = version_statistics(window), datetime.fromtimestamp(end, UTC)
            for measure, requests in least.items():
                value = _value(measure, statistics) if statistics.requests >= requests else None
                if value is not None:
                    found.setdefault((version, measure), []).append(LiveSample(at, value))
    return {place: tuple(samples) for place, samples in found.items()}


def _value(measure: str, found: VersionStatistics) -> float | None:
    if measure == Measure.ERRORS:
        return found.outcomes["5xx"] / found.requests
    microseconds = quantile(found.latency, SHARE)
    return None if microseconds is None else microseconds / 1e6
