"""The rules of a release as a Model's document says them. Pure."""

from istio_templates.documents import ModelSpec
from istio_templates.documents.fields import seconds
from istio_templates.documents.rollouts.rollout import RolloutPolicy, RolloutStep
from istio_templates.documents.rollouts.rollout_check import RolloutCheck
from k8s_manager.release.decision.rules import (
    ExternalCheck,
    OutcomeCheck,
    QuantileCheck,
    ReleaseCheck,
    ReleaseRules,
    ReleaseStep,
    TroubleRule,
)


def release_rules(spec: ModelSpec, rollout: RolloutPolicy) -> ReleaseRules:
    """Return the rules of `spec.rollout`; the stable version keeps its replicas for the model's `drain`."""
    return ReleaseRules(
        steps=tuple(_step(step) for step in rollout.steps),
        checks=tuple(_check(check) for check in rollout.checks),
        hold=float(seconds(rollout.hold)),
        min_requests=rollout.min_requests,
        on_failure=TroubleRule(rollout.on_failure),
        on_inconclusive=TroubleRule(rollout.on_inconclusive),
        on_window_end=TroubleRule.ABORT if rollout.on_window_end == "abort" else TroubleRule.HOLD,
        max_duration=float(seconds(rollout.max_duration)),
        drain=float(seconds(spec.drain)),
    )


def _step(step: RolloutStep) -> ReleaseStep:
    hold = None if step.hold is None else float(seconds(step.hold))
    return ReleaseStep(
        step.weight or 0, step.mirrored, hold=hold, min_requests=step.min_requests, approval=step.approval
    )


def _check(check: RolloutCheck) -> ReleaseCheck:
    if check.outcome is not None:
        return OutcomeCheck(check.name, check.outcome, check.most, check.or_times_stable)
    if check.quantile is not None:
        return QuantileCheck(check.name, check.quantile, check.most, check.or_times_stable)
    if check.prometheus is not None:
        return ExternalCheck(check.name, "prometheus", check.least, check.most)
    return ExternalCheck(check.name, "job" if check.job else "webhook")
