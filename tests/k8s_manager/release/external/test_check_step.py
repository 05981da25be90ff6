"""In which step webhooks and Jobs are asked, and which of them."""

from dataclasses import replace

import pytest

from istio_templates.documents.rollouts.rollout import RolloutPolicy
from k8s_manager.release.decision.rules import ReleaseRules, ReleaseStep
from k8s_manager.release.decision.state import CheckResult, CheckVerdict, ReleasePhase, ReleaseReason, ReleaseState
from k8s_manager.release.external.check_step import check_step, check_steps
from k8s_manager.release.release_target import ModelPlace, ReleaseTarget

CHECKS = RolloutPolicy.model_validate(
    {
        "checks": [
            {"name": "errors", "outcome": "5xx", "max": "1%"},
            {"name": "gate", "webhook": "https://gate.example.com/"},
            {"name": "load", "job": {"image": "load:1"}},
        ]
    }
).checks
RULES = ReleaseRules((ReleaseStep(5), ReleaseStep(50)))
LIVE = {"v1": 95, "v2": 5}
TARGET = ReleaseTarget(ModelPlace("search", "ranker"), "search", RULES, "v2", LIVE, {}, {}, checks=CHECKS)
STATE = ReleaseState("v1", "v2", ReleasePhase.RUNNING, begun=True, weight=5, since=100.0)


def final(name: str, at: float = 110.0) -> CheckResult:
    return CheckResult(name, CheckVerdict.PASS, "passed", at, is_final=True)


def test_a_step_that_is_live_asks_what_has_not_decided_in_it():
    found = check_step(TARGET, STATE)
    assert found is not None
    assert (found.step, found.steps, found.weight, list(found.webhooks), list(found.jobs)) == (
        1,
        3,
        5,
        ["gate"],
        ["load"],
    )
    decided = check_step(TARGET, replace(STATE, results=(final("gate"), final("load", at=90.0))))
    assert decided is not None and (list(decided.webhooks), list(decided.jobs)) == ([], ["load"])


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"weight": 6}, "other weights are live than were decided"),
        ({"weight": 0, "begun": False, "phase": ReleasePhase.PREPARING}, "no step has begun"),
        ({"phase": ReleasePhase.ABORTED}, "it has ended"),
        ({"is_forced": True}, "an operator has promoted it"),
        ({"phase": ReleasePhase.HOLDING, "reason": ReleaseReason.CHECK_FAILED}, "it has failed, and holds"),
    ],
)
def test_nothing_is_asked_where(change, why):
    assert check_step(TARGET, replace(STATE, **change)) is None, why
    assert not check_steps([(TARGET, replace(STATE, **change)), (TARGET, None)])


def test_a_step_that_waits_for_evidence_or_whose_successor_is_prepared_is_the_same_step():
    mirrored = check_step(replace(TARGET, live={"v1": 100}), replace(STATE, weight=0, mirror=10))
    assert mirrored is not None and mirrored.weight == 0 and mirrored.webhooks
    asked = check_step(TARGET, STATE)
    holding = replace(STATE, phase=ReleasePhase.HOLDING, reason=ReleaseReason.INCONCLUSIVE)
    preparing = replace(STATE, phase=ReleasePhase.PREPARING, step=1, begun=False)
    assert asked == check_step(TARGET, holding) == check_step(TARGET, preparing)


def test_at_100_per_cent_no_job_is_made():
    state = replace(STATE, phase=ReleasePhase.DRAINING, step=2, weight=100)
    found = check_step(replace(TARGET, live={"v1": 0, "v2": 100}), state)
    assert found is not None and (found.step, list(found.webhooks), list(found.jobs)) == (3, ["gate"], [])
