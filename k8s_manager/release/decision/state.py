"""What a release has to remember; it stands in `status.rollout`, and a new leader goes on from it alone. Pure."""

from dataclasses import dataclass
from enum import StrEnum

from k8s_manager.release.decision.rules import WHOLE


def share_text(weight: int, mirror: int) -> str:
    """Return what a version gets of the requests, in words; both are per cent."""
    return f"{mirror} % mirrored" if mirror and not weight else f"{weight} %"


class ReleasePhase(StrEnum):
    """Where a release stands. `DONE` and `ABORTED` are its ends; a model that releases nothing is `DONE`."""

    PREPARING = "Preparing"
    RUNNING = "Running"
    PAUSED = "Paused"
    HOLDING = "Holding"
    AWAITING_APPROVAL = "AwaitingApproval"
    PROMOTING = "Promoting"
    DRAINING = "Draining"
    DONE = "Done"
    ABORTED = "Aborted"


ENDED = (ReleasePhase.DONE, ReleasePhase.ABORTED)


class ReleaseReason(StrEnum):
    """Why a release stands where it does, or what was noticed."""

    WARMING = "Warming"
    QUOTA = "Quota"
    WINDOW = "Window"
    MEASURING = "Measuring"
    TOO_FEW_REQUESTS = "TooFewRequests"
    STATISTICS_MISSING = "StatisticsMissing"
    INCONCLUSIVE = "Inconclusive"
    CHECK_FAILED = "CheckFailed"
    TOO_LONG = "TooLong"
    NOT_APPROVED = "NotApproved"
    BY_HAND = "ByHand"
    DOCUMENT_CHANGED = "DocumentChanged"
    STEPS_CHANGED = "StepsChanged"
    VERSION_BLOCKED = "VersionBlocked"
    REPLICAS_LOST = "ReplicasLost"
    WEIGHTS_MOVED = "WeightsMoved"
    ACTION_IGNORED = "ActionIgnored"
    STATE_LOST = "StateLost"
    DRAINING = "Draining"
    COMPLETE = "Complete"


class CheckVerdict(StrEnum):
    """What a check says of the new version."""

    PASS = "pass"
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What a check found `at` a moment, with its numbers: the new version's value, the bound it is held against, the
    stable version's value, and the requests behind it (None: does not apply, or is not known).

    `failures` counts readings in a row that were out of bounds, of a source whose single readings decide nothing.
    `is_final` is what another system has decided for the whole step: it is not asked again.
    """

    name: str
    verdict: CheckVerdict
    sentence: str
    at: float
    value: float | None = None
    bound: float | None = None
    stable: float | None = None
    requests: int | None = None
    failures: int = 0
    is_final: bool = False


@dataclass(frozen=True, slots=True)
class BlockedVersion:
    """A version that gets no requests until it is retried, since when (epoch seconds), and why."""

    version: str
    reason: str
    at: float


@dataclass(frozen=True, slots=True)
class ReleaseWindow:
    """The quiet hours that were chosen for a release, in epoch seconds, and why; without a `start` none come, and they
    are looked for again at `end`."""

    start: float | None
    end: float
    message: str


@dataclass(frozen=True, slots=True)
class ReleaseState:
    """A release from the version `stable` to `version`; the same twice where nothing is released.

    `step` is the step that is prepared, or that is under way once it has `begun`, `reached` the last one that ever had;
    `weight` the new version's per cent, `mirror` the per cent that is mirrored to it, `is_live` whether that weight was
    seen in the cluster since it was decided. `started` is when the release began, `since` when its present weight (and
    with it its statistics) did, `paused` when it was paused; all in epoch seconds. `kept` are the replicas that the
    stable version keeps, `handled` the last action that was taken notice of. `window` are the quiet hours that were
    chosen for it. `previous` is the version that was stable before this one.
    """

    stable: str
    version: str
    phase: ReleasePhase
    step: int = 0
    begun: bool = False
    reached: int = -1
    weight: int = 0
    mirror: int = 0
    is_live: bool = False
    started: float = 0.0
    since: float = 0.0
    paused: float = 0.0
    kept: int = 0
    is_forced: bool = False
    plan: str = ""
    reason: ReleaseReason = ReleaseReason.COMPLETE
    message: str = ""
    results: tuple[CheckResult, ...] = ()
    approved: tuple[int, ...] = ()
    handled: str = ""
    blocked: tuple[BlockedVersion, ...] = ()
    window: ReleaseWindow | None = None
    previous: str = ""

    @property
    def is_under_way(self) -> bool:
        """Whether a release has begun and not ended."""
        return self.phase not in ENDED

    @property
    def weights(self) -> dict[str, int]:
        """The weights of both versions, in per cent; they sum to 100."""
        if not self.is_under_way or self.stable == self.version:
            return {self.stable: WHOLE}
        return {self.stable: WHOLE - self.weight, self.version: self.weight}

    @property
    def share(self) -> str:
        """What the new version gets of the requests, in words: `5 %`, or `10 % mirrored`."""
        return share_text(self.weight, self.mirror)

    def block(self, version: str) -> BlockedVersion | None:
        """Return why a version is blocked; None where it is not."""
        return next((found for found in self.blocked if found.version == version), None)
