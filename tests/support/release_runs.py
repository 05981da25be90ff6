"""A generated release run through the manager's decision, and through the rule of a peer."""

import math
from dataclasses import dataclass

from k8s_manager.release.decision.decision import decide
from k8s_manager.release.decision.observation import (
    ReleaseObservation,
    StepStatistics,
    VersionCapacity,
    VersionStatistics,
)
from k8s_manager.release.decision.rules import WHOLE, OutcomeCheck, QuantileCheck, ReleaseRules, ReleaseStep
from k8s_manager.release.decision.state import ReleasePhase, ReleaseState
from tests.support.release_replays import LOOK, ReleaseTrace, Traffic, merged, p99

WEIGHTS = (1, 5, 25, 50)
RULES = ReleaseRules(
    steps=tuple(ReleaseStep(weight) for weight in WEIGHTS),
    checks=(OutcomeCheck("errors", "5xx", times_stable=1.5), QuantileCheck("slow", 0.99, times_stable=1.25)),
    hold=300,
    min_requests=100,
    max_duration=24 * 3600,
)
REPLICAS, WARM_UP = 10, 120
THRESHOLD, LEAST_SUCCESS, MOST_P99 = 5, 0.99, 0.5
"""Flagger's usual analysis: so many failed checks roll back; a check a minute of that minute's requests."""


@dataclass(frozen=True, slots=True)
class ReleaseEnd:
    """How a release ended: `promoted`, `aborted`, or `held`; after how many seconds, and how many requests the new
    version had answered."""

    how: str
    seconds: float
    requests: int
    message: str = ""


def by_tidegate(trace: ReleaseTrace, seed: str = "") -> ReleaseEnd:
    """Return the end under the manager's decision: promoted as soon as the new version gets 100 %."""
    traffic, state = Traffic(trace, trace.name + seed), ReleaseState("v1", "v1", ReleasePhase.DONE)
    live, asked, warm, requests, at = {"v1": WHOLE}, 0.0, 0, 0, 0.0
    stable, new, until = VersionStatistics(), VersionStatistics(), 0.0
    since = 0.0
    while at <= RULES.max_duration + LOOK:
        at += LOOK
        minute = traffic.minute(at, live.get("v2", 0))
        requests += minute.new.requests
        if trace.has_statistics(at):
            stable, new, until = merged([stable, minute.stable]), merged([new, minute.new]), at
        seen = ReleaseObservation(
            at,
            "v2",
            live,
            {"v1": VersionCapacity(REPLICAS, REPLICAS, 50), "v2": VersionCapacity(warm, warm, 50, 2 * REPLICAS)},
            statistics=StepStatistics(since, until, stable, new),
        )
        decision, state = decide(RULES, state, seen)
        if state.phase in (ReleasePhase.DRAINING, ReleasePhase.ABORTED):
            how = "promoted" if state.phase is ReleasePhase.DRAINING else "aborted"
            return ReleaseEnd(how, at, requests, state.message)
        live = {version: weight for version, weight in decision.weights.items() if weight}
        if decision.least_replicas["v2"] > warm:
            asked = asked or at
            if at - asked >= WARM_UP:
                warm, asked = decision.least_replicas["v2"], 0.0
        if state.since != since:
            stable, new, since = VersionStatistics(), VersionStatistics(), state.since
    return ReleaseEnd("held", at, requests, state.message)


def by_tuned_flagger(trace: ReleaseTrace) -> ReleaseEnd:
    """Return the end under Flagger's rule with bounds that somehow know the stable version as it is in the long run:
    the same times of its errors and its p99 that the manager's checks allow."""
    return by_flagger(trace, 1 - 1.5 * trace.errors, 1.25 * trace.slowest)


def by_flagger(trace: ReleaseTrace, least_success: float = LEAST_SUCCESS, most_p99: float = MOST_P99) -> ReleaseEnd:
    """Return the end under Flagger's rule, as its controller has it: in each interval a check of that interval's
    requests, with fixed bounds; no values count as a failed check; five failed checks roll back, a passed one
    advances."""
    traffic = Traffic(trace, trace.name)
    step, failed, requests, at = 0, 0, 0, 0.0
    while at < RULES.max_duration:
        at += LOOK
        new = traffic.minute(at, WEIGHTS[step]).new
        requests += new.requests
        is_known = trace.has_statistics(at) and new.requests > 0
        success = 1 - new.outcomes["5xx"] / new.requests if is_known else math.nan
        if is_known and success >= least_success and p99(new) <= most_p99:
            step += 1
            if step == len(WEIGHTS):
                return ReleaseEnd("promoted", at, requests)
        else:
            failed += 1
            if failed >= THRESHOLD:
                return ReleaseEnd("aborted", at, requests)
    return ReleaseEnd("held", at, requests)
