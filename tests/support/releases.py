"""Releases of one model for tests: rules, observations, and a small cluster that follows decisions."""

from dataclasses import dataclass, field, replace
from typing import Any

from collectors.access_log.latency import bucket_of
from k8s_manager.release.decision.decision import ReleaseDecision, decide
from k8s_manager.release.decision.observation import (
    ReleaseAction,
    ReleaseObservation,
    StepStatistics,
    VersionCapacity,
    VersionStatistics,
)
from k8s_manager.release.decision.rules import OutcomeCheck, QuantileCheck, ReleaseRules, ReleaseStep
from k8s_manager.release.decision.state import ReleasePhase, ReleaseState
from k8s_manager.traffic.release_record import ReleaseRecord

STEPS = tuple(ReleaseStep(weight) for weight in (1, 5, 25, 50))
CHECKS = (OutcomeCheck("errors", "5xx", most=0.01), QuantileCheck("slow", 0.99, most=0.2, times_stable=1.2))
RULES = ReleaseRules(steps=STEPS, checks=CHECKS, hold=60.0, min_requests=100, max_duration=86_400.0, drain=600.0)
IDLE = ReleaseState("v1", "v1", ReleasePhase.DONE)
START, LOOK = 1_000_000.0, 10.0
MANY = 20_000


def requests(number: int = MANY, failed: int = 0, seconds: float = 0.05, slow: int = 0) -> VersionStatistics:
    """Return requests of which some failed, and some were so slow that they took a second."""
    latency = {bucket_of(int(seconds * 1e6)): number - slow, bucket_of(1_000_000): slow}
    return VersionStatistics(number, {"5xx": failed, "4xx": 0, "noAnswer": 0}, latency)


GOOD = requests()
FAILING = requests(failed=MANY // 10)
SLOW = requests(seconds=0.9)
FEW = requests(5)


@dataclass
class ReleaseCluster:
    """A model with two versions, looked at every `LOOK` seconds; whatever is decided is there at the next look."""

    rules: ReleaseRules = RULES
    state: ReleaseState | None = IDLE
    at: float = START
    wanted: str = "v2"
    live: dict[str, int] = field(default_factory=lambda: {"v1": 100})
    warm: dict[str, int] = field(default_factory=lambda: {"v1": 10})
    most: int | None = None
    new: VersionStatistics | None = GOOD
    stable: VersionStatistics = GOOD
    delay: float = 5.0
    record: ReleaseRecord | None = None
    decisions: list[ReleaseDecision] = field(default_factory=list)

    def observation(self, **more: Any) -> ReleaseObservation:
        """Return what is seen now."""
        names = dict.fromkeys(("v1", "v2", self.wanted))
        versions = {n: VersionCapacity(self.warm.get(n, 0), self.warm.get(n, 0), 20.0, self.most) for n in names}
        since = self.state.since if self.state else self.at
        until = max(since, self.at - self.delay) if self.delay < LOOK else self.at - self.delay
        statistics = StepStatistics(since, until, self.stable, self.new, self.new) if self.new else None
        seen = ReleaseObservation(self.at, self.wanted, dict(self.live), versions, statistics, record=self.record)
        return replace(seen, **more)

    def look(self, **more: Any) -> ReleaseDecision:
        """Decide once, carry it out, and let time pass."""
        decision, self.state = decide(self.rules, self.state, self.observation(**more))
        self.live = {version: weight for version, weight in decision.weights.items() if weight}
        for version, least in decision.least_replicas.items():
            self.warm[version] = max(self.warm.get(version, 0), least)
        self.at += LOOK
        self.decisions.append(decision)
        return decision

    def act(self, verb: Any, **more: Any) -> ReleaseDecision:
        """Decide with an action."""
        return self.look(action=ReleaseAction(f"{verb}-{self.at}", verb, "ops", "a reason"), **more)

    def reach(self, phase: ReleasePhase, weight: int | None = None, looks: int = 1000) -> ReleaseDecision:
        """Look until a phase is reached (with a weight of the new version); fails where it is not in time."""
        for _ in range(looks):
            found = self.look()
            assert self.state is not None
            if self.state.phase is phase and weight in (None, self.state.weight):
                return found
        raise AssertionError(f"not {phase} at {weight}, but {self.state}")
