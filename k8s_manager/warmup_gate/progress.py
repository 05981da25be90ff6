"""How far a replica has come with its warm-up, for people. Pure: from what its pod says, and live progress if any."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from istio_templates.facts import Manifest
from istio_templates.workloads.warm_gate import GATE, WarmupResult, is_proved, verdict_of
from k8s_manager.runtime.sentences import named
from k8s_manager.runtime.timestamp import timestamp
from k8s_manager.world.condition import Condition
from warmup.engine import Progress

STATES: Mapping[str, str] = {
    "Verified": "verified",
    "Admitted": "admitted",
    "Released": "released",
    "Warming": "warming",
    "NotFastEnough": "failed",
    "PlanWrong": "failed",
    "TimedOut": "timed out",
}
SHOWN = 50


@dataclass(frozen=True, slots=True)
class PodProgress:
    """A gated pod: its version, its state in a word, the reason and sentence of its gate and since when, its verdict,
    how far it is now, and when it got its first request, as far as that is known."""

    name: str
    version: str
    state: str
    reason: str
    said: str
    since: str
    verdict: WarmupResult | None = None
    progress: Progress | None = None
    first_request: datetime | None = None

    @property
    def is_open(self) -> bool:
        """Tell whether it takes requests."""
        return self.state in ("verified", "admitted", "released")

    def status(self) -> Manifest:
        """Return it for a status or an answer: what moves fast is left to `live`."""
        out: Manifest = {
            "name": self.name,
            "version": self.version,
            "state": self.state,
            "reason": self.reason,
            "message": self.said,
            "since": self.since,
        }
        if self.verdict and self.state in ("verified", "admitted"):
            out["seconds"] = self.verdict.seconds
            out["requests"] = self.verdict.requests
        if self.first_request:
            out["firstRequest"] = timestamp(self.first_request)
        return out

    def live(self) -> Manifest:
        """Return it with each case, its calls and its last latency (ms)."""
        if self.progress is None:
            return self.status()
        rows = [
            {
                "case": row.case,
                "batch": row.batch,
                "state": row.state,
                "calls": row.calls,
                "failures": row.failures,
                "firstMs": _ms(row.first),
                "lastMs": _ms(row.last),
                "quantileMs": _ms(row.latency),
                "message": row.said,
            }
            for row in self.progress.rows
        ]
        return {**self.status(), "seconds": round(self.progress.seconds, 1), "cases": rows, "message": self._now()}

    def _now(self) -> str:
        assert self.progress is not None
        if self.progress.state == "WaitingForServer":
            return self.progress.said or self.said
        row = self.progress.rows[-1] if self.progress.rows else None
        return f"case {row.case}, batch {row.batch}: {row.calls} calls, {row.said or 'passed'}" if row else self.said


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 2)


def warmth_of(
    pod: Manifest, version: str, progress: Progress | None, first_request: datetime | None = None
) -> PodProgress:
    """Return how far a gated pod has come."""
    conditions = pod.get("status", {}).get("conditions") or []
    gate: Manifest = next((condition for condition in conditions if condition.get("type") == GATE), {})
    reason = gate.get("reason", "")
    state = STATES.get(reason, "waiting")
    if progress is not None and progress.state == "WaitingForServer":
        state = "waiting"
    if gate.get("status") == "True" and reason != "Released" and not is_proved(pod):
        state, reason = "waiting", "Restarted"
    return PodProgress(
        name=pod["metadata"]["name"],
        version=version,
        state=state,
        reason=reason or "Unseen",
        said=gate.get("message", "the manager has not checked this pod yet; wait for its next pass"),
        since=gate.get("lastTransitionTime", ""),
        verdict=verdict_of(pod),
        progress=progress,
        first_request=first_request,
    )


def warmup_status(mode: str, plan: str, pods: Iterable[PodProgress]) -> Manifest:
    """Return the warm-up in a model's status: counts, and the pods that are not open."""
    pods = list(pods)
    counts = Counter(pod.state for pod in pods)
    closed = [pod.status() for pod in pods if not pod.is_open]
    return {"mode": mode, "plan": plan, "counts": dict(sorted(counts.items())), "notOpen": closed[:SHOWN]}


def warm(pods: Iterable[PodProgress]) -> Condition:
    """Return the condition Warm of a model whose replicas have gates."""
    pods = list(pods)
    if not pods:
        return Condition("Warm", False, "NoReplica", "there is no replica yet; wait, or see condition Degraded")
    for state, reason in (
        ("failed", "Failed"),
        ("timed out", "TimedOut"),
        ("warming", "Warming"),
        ("waiting", "Waiting"),
    ):
        if found := [pod for pod in pods if pod.state == state]:
            first = found[0]
            more = f" and {len(found) - 1} more" if len(found) > 1 else ""
            said = f"{first.name}{more}: {first.said}" if state in ("failed", "timed out") else _waiting(state, found)
            return Condition("Warm", False, reason, said)
    admitted = sum(pod.state == "admitted" for pod in pods)
    if admitted:
        return Condition(
            "Warm",
            True,
            "Admitted",
            f"{admitted} of {len(pods)} replicas take requests without having passed, as their warm-up plan allows",
        )
    return Condition(
        "Warm",
        True,
        "Warm",
        f"all {len(pods)} replicas have passed their warm-up plan" if pods else "the model has no replica to warm up",
    )


def _waiting(state: str, found: list[PodProgress]) -> str:
    names = named([pod.name for pod in found], 3)
    doing = "their warm-up is running" if state == "warming" else "their warm-up has not started"
    return f"{names}: {doing}; they take requests once they have passed their plan"
