"""What is known of the versions of a model, and of the one that is served."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

_NUMBER = re.compile(r"([0-9]+)")


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The value of a metric on a data set, from so many samples, at a moment (aware)."""

    dataset: str
    metric: str
    value: float
    samples: int
    at: datetime


@dataclass(frozen=True, slots=True)
class VersionPin:
    """A person's choice of a version: by whom and when, who else has approved it, and when it ends (None: never)."""

    by: str
    at: datetime
    approvals: tuple[str, ...] = ()
    ends: datetime | None = None

    def holds(self, now: datetime) -> bool:
        """Tell whether it is in force."""
        return self.at <= now and (self.ends is None or now < self.ends)


@dataclass(frozen=True, slots=True)
class ModelVersionFact:
    """A registered version: its moments are aware; `latency` is the 99th percentile in seconds, `errors` the share of
    requests that fail, `cost` in any unit that is the same for all versions; None is unknown.

    `blocked` says why the version may not be served, such as a release of it that failed; None: it may.
    """

    name: str
    created: datetime
    data_until: datetime | None = None
    uri: str = ""
    digest: str = ""
    image: str = ""
    evaluations: tuple[Evaluation, ...] = ()
    cost: float | None = None
    latency: float | None = None
    errors: float | None = None
    blocked: str | None = None
    pinned: VersionPin | None = None
    aliases: frozenset[str] = frozenset()

    def evaluation(self, dataset: str, metric: str, now: datetime, since: datetime | None = None) -> Evaluation | None:
        """Return the last evaluation of a metric on a data set that is not from the future, not older than `since`,
        and has a finite value; of two at one moment that with more samples, then that with the lower value."""
        found = [
            one
            for one in self.evaluations
            if (one.dataset, one.metric) == (dataset, metric)
            and math.isfinite(one.value)
            and one.at <= now
            and (since is None or one.at >= since)
        ]
        return max(found, key=lambda one: (one.at, one.samples, -one.value), default=None)


@dataclass(frozen=True, slots=True)
class LiveSample:
    """A live value at a moment."""

    at: datetime
    value: float


@dataclass(frozen=True, slots=True)
class ServedVersion:
    """What serves a model: the version (None: none yet) and the one before it, since when, whether a release is under
    way, the live values of each measure, by its name, and why there are none of some, as clauses."""

    name: str | None
    since: datetime | None = None
    previous: str | None = None
    releasing: bool = False
    live: Mapping[str, Sequence[LiveSample]] = field(default_factory=dict)
    flaws: Mapping[str, str] = field(default_factory=dict)


def rank_of_name(name: str) -> tuple[tuple[int, int, str], ...]:
    """Return what orders names as people do: v9 before v10."""
    parts = (part for part in _NUMBER.split(name) if part)
    return tuple((0, int(part), part) if part.isascii() and part.isdigit() else (1, 0, part) for part in parts)


def rank_of_age(version: ModelVersionFact) -> tuple[float, tuple[tuple[int, int, str], ...]]:
    """Return what orders versions that are equal otherwise: older data loses, then the lower name."""
    until = version.data_until.timestamp() if version.data_until else -math.inf
    return until, rank_of_name(version.name)
