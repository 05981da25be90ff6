"""The step of a release as webhooks and Jobs see it. Pure.

Each step has an identity: of model, versions, step and the moment since which its weight holds. A leader that dies
leaves a status from which the next one finds the same: a Job of the same name, a message of the same id.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256

from istio_templates.documents.override import moment_text
from istio_templates.documents.rollouts.external_check import CheckJob
from k8s_manager.release.decision.rules import WHOLE
from k8s_manager.release.decision.stages import step_in_force
from k8s_manager.release.decision.state import ReleasePhase, ReleaseState
from k8s_manager.release.decision.transitions import STOPPED
from k8s_manager.release.release_target import ModelPlace, ReleaseTarget

_LONGEST_NAME = 50
"""Characters of a Job's name: its pods' names are longer, and are host names."""


@dataclass(frozen=True, slots=True)
class CheckStep:
    """A step whose weight is live, and those of its webhooks (addresses) and Jobs that have not decided yet, by the
    names of their checks. `step` counts from 1, `since` is in epoch seconds."""

    place: ModelPlace
    tenant: str
    stable: str
    version: str
    step: int
    steps: int
    weight: int
    since: float
    webhooks: Mapping[str, str] = field(default_factory=dict)
    jobs: Mapping[str, CheckJob] = field(default_factory=dict)
    node_pool: Mapping[str, str] | None = None

    @property
    def began(self) -> str:
        """When the step began, as its status says."""
        return moment_text(datetime.fromtimestamp(self.since, UTC))

    def id(self, check: str) -> str:
        """Return the identity of a check in this step: the same for each question, and for each leader."""
        parts = (*self.place, self.stable, self.version, str(self.step), self.began, check)
        return sha256("\n".join(parts).encode()).hexdigest()[:32]

    def job_name(self, check: str) -> str:
        """Return the name of the Job of a check."""
        head = f"{self.place.name}-{check.lower().replace('_', '-')}"[: _LONGEST_NAME - 11].rstrip("-")
        return f"{head}-{self.id(check)[:10]}"


def check_steps(targets: Iterable[tuple[ReleaseTarget, ReleaseState | None]]) -> list[CheckStep]:
    """Return the steps in which something is to be asked."""
    found = (check_step(target, state) for target, state in targets if state is not None)
    return [step for step in found if step is not None and (step.webhooks or step.jobs)]


def check_step(target: ReleaseTarget, state: ReleaseState) -> CheckStep | None:
    """Return the step that is in force; None where none is, or where nothing is measured any more."""
    index = step_in_force(state)
    live = {version: weight for version, weight in target.live.items() if weight}
    wanted = {version: weight for version, weight in state.weights.items() if weight}
    has_stopped = state.phase is ReleasePhase.HOLDING and state.reason in STOPPED
    gets_none = not state.weight and not state.mirror
    if not state.is_under_way or gets_none or index < 0 or live != wanted or state.is_forced or has_stopped:
        return None
    decided = {found.name for found in state.results if found.is_final and found.at >= state.since}
    open_checks = [check for check in target.checks if check.name not in decided]
    return CheckStep(
        place=target.place,
        tenant=target.tenant,
        stable=state.stable,
        version=state.version,
        step=index + 1,
        steps=target.rules.last + 1,
        weight=state.weight,
        since=state.since,
        webhooks={check.name: check.webhook for check in open_checks if check.webhook},
        jobs={check.name: check.job for check in open_checks if check.job and state.weight < WHOLE},
        node_pool=target.node_pool,
    )
