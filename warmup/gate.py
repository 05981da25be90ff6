"""What to do with each pod that waits for the gate. Pure: the pods, the plans, what is under way, and the time.

    no verdict ──> waiting ──> WaitingForServer ──> Warming ──> Verified           the gate opens
                     ^                                ├──────> NotFastEnough ─┐
                     │                                ├──────> TimedOut ──────┴──> hold | admit | restart
                     └──── after a pause (hold) ──────┘
                                                      └──────> PlanWrong           closed until the plan is another

A verdict is about one container: where another one runs, the gate is closed and the pod begins again. `decide` is for
the leader; `closings` is what a manager that does not lead does as well, since closing is safe for any of them. A pod
that is warm stays open when the plan changes: a changed plan is a rollout, and new pods bring it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from istio_templates.workloads.warm_gate import RELEASED, WarmupResult
from warmup.engine import WarmupOutcome
from warmup.pods import GatedPod, WarmupClaim

FIRST_PAUSE, LONGEST_PAUSE = 10.0, 600.0  # seconds until a pod that was held is warmed again
RELEASE_AFTER = 10.0  # seconds without a model that claims a pod: its plan may only be about to be written
Policy = Literal["hold", "admit", "restart"]


@dataclass(frozen=True, slots=True)
class GateUpdate:
    """The gate of a pod has to be set: open or not, with reason and sentence, and a new verdict where there is one."""

    pod: GatedPod
    open: bool
    reason: str
    said: str
    verdict: WarmupResult | None = None

    def is_for(self, pod: GatedPod) -> bool:
        """Tell whether it still is right for its pod as that is now. What opens a gate is about a container, what keeps
        it closed about everything that was seen of the pod."""
        return (pod.uid, pod.container) == (self.pod.uid, self.pod.container) if self.open else pod == self.pod


@dataclass(frozen=True, slots=True)
class GateClosing:
    """An open gate over a container that was not found warm, and why it has to be closed. It cannot open one, so that
    any manager may carry it out."""

    pod: GatedPod
    reason: str
    said: str


@dataclass(frozen=True, slots=True)
class Work:
    """What is known of one container under one plan: whether it is being warmed, how often that failed and why, when
    it is tried again (None: never), and the turn that opens its gate, until that has arrived."""

    container: str
    plan: str
    running: bool = False
    failures: int = 0
    again_at: float | None = 0.0
    result: str = ""
    said: str = ""
    opens: GateUpdate | None = None


@dataclass(frozen=True, slots=True)
class GateState:
    """What is under way, and since when no model claims a pod, by the pods' UIDs."""

    works: Mapping[str, Work] = field(default_factory=dict)
    uncared: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class GateDecision:
    """Gates to turn, pods to begin with under their model's claim, UIDs of those to stop, and when to look again."""

    turns: tuple[GateUpdate, ...] = ()
    begin: tuple[tuple[GatedPod, WarmupClaim], ...] = ()
    stop: frozenset[str] = frozenset()
    wake_at: float | None = None


def claims_by_pod(pods: Iterable[GatedPod], claims: Iterable[WarmupClaim]) -> dict[str, WarmupClaim]:
    """Return the claim on each pod, by UID."""
    claims = list(claims)
    by_label: dict[tuple[str, tuple[str, str]], list[int]] = {}  # a namespace may hold a thousand models
    for number, claim in enumerate(claims):
        for labels in claim.versions:
            by_label.setdefault((claim.namespace, min(labels)), []).append(number)
    found = {}
    for pod in pods:
        numbers = [n for pair in pod.labels for n in by_label.get((pod.namespace, pair), ())]
        if fitting := [n for n in numbers if claims[n].is_of(pod)]:
            found[pod.uid] = claims[min(fitting)]
    return found


def decide(
    state: GateState, pods: Iterable[GatedPod], claims: Iterable[WarmupClaim], now: float
) -> tuple[GateDecision, GateState]:
    """Return what to do at `now`, and what is under way after it."""
    pods = list(pods)
    claimed = claims_by_pod(pods, claims)
    works = _works(state, pods, claimed)
    stop = frozenset(
        uid for uid, work in state.works.items() if work.running and not (uid in works and works[uid].running)
    )
    begin = [(pod, claimed[pod.uid]) for pod in pods if _is_next(works.get(pod.uid), now)]
    for pod, _ in begin:
        works[pod.uid] = replace(works[pod.uid], running=True)
    closed = [pod.uid for pod in pods if pod.gated and not pod.is_open and pod.uid not in claimed]
    uncared = {uid: state.uncared.get(uid, now) for uid in closed}
    free = {uid for uid, since in uncared.items() if since + RELEASE_AFTER <= now}
    turns = [turn for pod in pods if (turn := _turn(pod, claimed.get(pod.uid), works.get(pod.uid), pod.uid in free))]
    waits = [w.again_at for w in works.values() if not w.running and w.again_at is not None and w.again_at > now]
    waits += [since + RELEASE_AFTER for uid, since in uncared.items() if uid not in free]
    return GateDecision(tuple(turns), tuple(begin), stop, min(waits, default=None)), GateState(works, uncared)


def closings(pods: Iterable[GatedPod], claims: Iterable[WarmupClaim]) -> list[GateClosing]:
    """Return the gates that any manager has to close; those of pods without a claim are left as they are."""
    found = [due for pod in pods if (due := _closing(pod))]
    claimed = claims_by_pod((due.pod for due in found), claims) if found else {}
    return [due for due in found if due.pod.uid in claimed]


def _closing(pod: GatedPod) -> GateClosing | None:
    if pod.leaving or not pod.gated or not pod.is_open or pod.holds:
        return None
    return GateClosing(pod, "Restarted" if pod.verdict else "Unproved", _stale(pod))


def _works(state: GateState, pods: list[GatedPod], claimed: Mapping[str, WarmupClaim]) -> dict[str, Work]:
    """Return the work on every pod that has to be warmed; what was about another container or plan begins again."""
    works: dict[str, Work] = {}
    for pod in pods:
        claim = claimed.get(pod.uid)
        if claim is None or pod.leaving or pod.container is None or pod.address is None or _is_done(pod):
            continue
        before = state.works.get(pod.uid)
        same = before is not None and (before.container, before.plan) == (pod.container, claim.hash)
        works[pod.uid] = before if before is not None and same else Work(pod.container, claim.hash)
    return works


def _is_done(pod: GatedPod) -> bool:
    """Tell whether a pod needs no warm-up: it was found warm, or takes requests without being asked."""
    return (pod.holds and not pod.is_released) if pod.gated else pod.serves


def _is_next(work: Work | None, now: float) -> bool:
    """Tell whether a pod is to be begun with now."""
    if work is None or work.running or work.opens:
        return False
    return work.again_at is not None and work.again_at <= now


def _turn(pod: GatedPod, claim: WarmupClaim | None, work: Work | None, free: bool) -> GateUpdate | None:
    if pod.leaving or not pod.gated:
        return None
    if claim is None:
        said = "no model with a plan cares for this pod; make one, or take the readiness gate out of its template"
        return GateUpdate(pod, True, RELEASED, said, _released(pod)) if free else None
    if pod.is_released and pod.is_open:
        # It served before a model claimed it: it stays open, and is warmed beside that.
        return work.opens if work and work.opens else None
    if pod.holds:
        return (
            None if pod.is_open else GateUpdate(pod, True, str(pod.verdict and pod.verdict.result), "it was found warm")
        )
    if due := _closing(pod):
        return GateUpdate(pod, False, due.reason, due.said)
    if work and work.opens:
        return work.opens
    reason, said = _waiting(pod, work)
    return GateUpdate(pod, False, reason, said) if pod.condition != ("False", reason) else None


def _released(pod: GatedPod) -> WarmupResult | None:
    return WarmupResult(pod.uid, pod.container, "", RELEASED, "") if pod.container else None


def _stale(pod: GatedPod) -> str:
    if pod.verdict is None:
        return "the gate was open without a passed warm-up plan"
    if pod.container is None:
        return "the container that was found warm does not run"
    return "another container runs than the one that was found warm"


def _waiting(pod: GatedPod, work: Work | None) -> tuple[str, str]:
    if work is None or pod.container is None:
        return "WaitingForContainer", "the model's container does not run yet"
    if work.running:
        return "Warming", "its server is waited for, then its plan's requests are sent"
    return work.result or "Waiting", work.said or "is about to be warmed"


def ended(state: GateState, pod: GatedPod, outcome: WarmupOutcome, opens: GateUpdate | None, now: float) -> GateState:
    """Return the state after a warm-up has ended; what does not open the gate is tried again after a pause, unless the
    plan is wrong."""
    work = state.works.get(pod.uid)
    if work is None or work.container != pod.container:
        return state
    failures = work.failures + (opens is None)
    never = outcome.result == "PlanWrong" or not pod.gated
    again = None if never else now + min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(failures - 1, 10))
    after = replace(
        work,
        running=False,
        failures=failures,
        again_at=again,
        result=outcome.result,
        said=outcome.said,
        opens=opens,
    )
    return replace(state, works={**state.works, pod.uid: after})


def opening(pod: GatedPod, claim: WarmupClaim, outcome: WarmupOutcome, policy: Policy, at: str) -> GateUpdate | None:
    """Return the turn that opens a gate after a warm-up; None where it stays closed. A wrong plan opens nothing."""
    admitted = outcome.result in ("NotFastEnough", "TimedOut") and policy == "admit"
    if not pod.gated or (outcome.result != "Verified" and not admitted):
        return None
    result = "Admitted" if admitted else "Verified"
    verdict = WarmupResult(
        uid=pod.uid,
        container=pod.container or "",
        plan=claim.hash,
        result=result,
        at=at,
        requests=outcome.requests,
        seconds=round(outcome.seconds, 3),
        latency=outcome.latency,
    )
    tail = (pod.container or "").rpartition("/")[2][:12]
    took = f"{outcome.requests} requests in {outcome.seconds:.1f} s, container {tail}, plan {claim.hash}"
    said = (
        f"{outcome.said}; {took}" if result == "Verified" else f"admitted by its plan, not warm: {outcome.said}; {took}"
    )
    return GateUpdate(pod, True, result, said, verdict)
