"""What is seen of a model at a moment, as far as a release goes by it. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

from collectors.access_log.latency import merged
from collectors.access_log.outcomes import ADMITTED
from collectors.access_log.rows import StatsRow
from k8s_manager.release.decision.rules import OUTCOME_GROUPS
from k8s_manager.traffic.release_record import ReleaseRecord


@dataclass(frozen=True, slots=True)
class VersionCapacity:
    """The replicas of a version: how many are asked for, how many are warm, the requests/s that each can serve (None:
    not known), and how many there may be by its own bounds and the quota (None: any number)."""

    replicas: int = 0
    warm: int = 0
    per_replica: float | None = None
    most: int | None = None


@dataclass(frozen=True, slots=True)
class VersionStatistics:
    """What became of a version's requests: how many there were, how many by outcome (keys of `OUTCOME_GROUPS`), and
    the latency in buckets of collectors/access_log/latency.py."""

    requests: int = 0
    outcomes: Mapping[str, int] = field(default_factory=dict)
    latency: Mapping[int, int] = field(default_factory=dict)


NO_REQUESTS = VersionStatistics()


@dataclass(frozen=True, slots=True)
class StepStatistics:
    """Statistics of the stable and the new version, and of requests that were mirrored to the new one, of the same
    minutes: `since` to `until`, in epoch seconds."""

    since: float
    until: float
    stable: VersionStatistics = NO_REQUESTS
    new: VersionStatistics = NO_REQUESTS
    mirrored: VersionStatistics = NO_REQUESTS

    def of_new(self, weight: int) -> VersionStatistics:
        """Return what is known of the new version: of mirrored requests while it has no weight (per cent)."""
        return self.new if weight else self.mirrored


@dataclass(frozen=True, slots=True)
class ExternalReading:
    """What another system said `at` a moment: that a check has passed, has failed, or still runs; of a query its value
    (None: it gave none)."""

    at: float
    outcome: Literal["passed", "failed", "pending", "value"]
    value: float | None = None
    sentence: str = ""


class ReleaseVerb(StrEnum):
    """What can be asked of a release."""

    PROMOTE = "promote"
    PAUSE = "pause"
    RESUME = "resume"
    APPROVE = "approve"
    ABORT = "abort"
    RETRY = "retry"


@dataclass(frozen=True, slots=True)
class ReleaseAction:
    """What a person or a program asks for; `id` is its own for each. With `version` it is meant for the release of
    that version only."""

    id: str
    verb: ReleaseVerb
    by: str
    reason: str = ""
    version: str | None = None


@dataclass(frozen=True, slots=True)
class ReleaseObservation:
    """What is seen `at` a moment (epoch seconds).

    `wanted` is the version at which the document points, `live` the weights in the cluster (per cent). `statistics` are
    those since the state's `since`, and `counts` what gateway pods have counted sooner: enough to fail. `may_progress`
    is whether windows and freezes let a release go on, `hindrance` what they say; `is_window_over` whether that is
    because no window is open. `record` is what is left where the state was lost.
    """

    at: float
    wanted: str
    live: Mapping[str, int]
    versions: Mapping[str, VersionCapacity]
    statistics: StepStatistics | None = None
    counts: StepStatistics | None = None
    readings: Mapping[str, ExternalReading] = field(default_factory=dict)
    action: ReleaseAction | None = None
    may_progress: bool = True
    hindrance: str = ""
    is_window_over: bool = False
    record: ReleaseRecord | None = None

    def replicas_of(self, version: str) -> VersionCapacity:
        """Return the replicas of a version; of one that is not known none."""
        return self.versions.get(version, VersionCapacity())


def version_statistics(rows: Iterable[StatsRow]) -> VersionStatistics:
    """Return what rows of a version say of the requests that the limit admitted."""
    parts = tuple(rows)
    return VersionStatistics(
        requests=sum(row.count(*ADMITTED) for row in parts),
        outcomes={name: sum(row.count(*group) for row in parts) for name, group in OUTCOME_GROUPS.items()},
        latency=merged(row.latency for row in parts),
    )
