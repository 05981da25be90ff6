"""What people read of a release."""

from dataclasses import replace

import pytest

from k8s_manager.release.decision.rules import ReleaseRules, ReleaseStep
from k8s_manager.release.decision.state import (
    BlockedVersion,
    CheckResult,
    CheckVerdict,
    ReleasePhase,
    ReleaseReason,
    ReleaseState,
)
from k8s_manager.release.release_status import release_condition, release_sentences
from k8s_manager.release.status_record import status_of

RULES = ReleaseRules(steps=(ReleaseStep(5),))
ERRORS = CheckResult("errors", CheckVerdict.PASS, "5xx: 1 % of 90 requests; at most 2 %: pass", 1.0)
RUNNING = ReleaseState(
    "v1",
    "v2",
    ReleasePhase.RUNNING,
    begun=True,
    weight=5,
    started=1.0,
    since=1.0,
    reason=ReleaseReason.MEASURING,
    message="Version v2 has 5 % for 30 s.",
    results=(ERRORS,),
    blocked=(BlockedVersion("v3", "errors failed.", 1.0),),
)


def test_sentences_have_one_full_stop_each():
    assert release_sentences("search/ranker", status_of(RUNNING, RULES)) == [
        "search/ranker: Version v2 has 5 % for 30 s. Requests go to v1 95 %, v2 5 %.",
        "Check errors: 5xx: 1 % of 90 requests; at most 2 %: pass.",
        "Version v3 is blocked since 1970-01-01T00:00:01.000Z: errors failed. Ask for retry to release it again.",
    ]


def test_copies_of_requests_are_said():
    mirrored = replace(RUNNING, weight=0, mirror=10, message="Version v2 has 10 % mirrored for 30 s.", blocked=())
    assert release_sentences("search/ranker", status_of(mirrored, RULES))[:2] == [
        "search/ranker: Version v2 has 10 % mirrored for 30 s. Requests go to v1 100 %.",
        "10 % of them are mirrored to v2, whose answers are thrown away.",
    ]


def test_a_model_without_a_rollout_is_said():
    assert "with spec.rollout" in release_sentences("search/ranker", None)[0]


@pytest.mark.parametrize(
    ("found", "flaw", "status", "reason", "message"),
    [
        (None, None, False, "NotBegun", "the release has not been looked at yet; wait"),
        ({"phase": 1}, None, False, "NotBegun", "status.rollout cannot be read; it is found again, wait"),
        (status_of(RUNNING, RULES), None, False, "Measuring", "version v2 has 5 % for 30 s"),
        (status_of(RUNNING, RULES), "asks for 'go'", False, "UnknownVerb", "asks for 'go'"),
        (
            status_of(ReleaseState("v2", "v2", ReleasePhase.DONE), RULES),
            None,
            True,
            "Complete",
            "version v2 answers all requests",
        ),
        (
            status_of(
                replace(RUNNING, phase=ReleasePhase.DONE, reason=ReleaseReason.VERSION_BLOCKED, message="Blocked."),
                RULES,
            ),
            None,
            False,
            "VersionBlocked",
            "blocked",
        ),
    ],
)
def test_the_condition_says_whether_requests_go_where_the_document_says(found, flaw, status, reason, message):
    condition = release_condition(found, flaw)
    assert (condition.holds, condition.reason, condition.message) == (status, reason, message)
