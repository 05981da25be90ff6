"""What people read of a release."""

from dataclasses import replace

import pytest

from istio_templates.documents import parse
from k8s_manager.release.decision.rules import ReleaseRules, ReleaseStep
from k8s_manager.release.decision.state import (
    BlockedVersion,
    CheckResult,
    CheckVerdict,
    ReleasePhase,
    ReleaseReason,
    ReleaseState,
)
from k8s_manager.release.release_status import lost_rollout, release_condition, release_sentences
from k8s_manager.release.status_record import status_of
from tests.support.documents import model

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
IDLE = replace(RUNNING, phase=ReleasePhase.DONE, version="v1", weight=0)
ROLLOUT = {"rollout": {}}


def test_what_a_document_without_a_rollout_does_to_a_release_is_said():
    under_way, ended = {"rollout": status_of(RUNNING, RULES)}, {"rollout": status_of(IDLE, RULES)}

    def lost(status, *to, **more):
        versions = [{"name": name} for name in ("v1", "v2", "v3")]
        workloads = [{**one, "workload": {"replicas": 1, "image": f"x:{one['name']}"}} for one in versions]
        shares = [{"version": name, "weight": 100 // len(to)} for name in to]
        return lost_rollout(parse(model(versions=workloads, traffic=shares, **more)).spec, status)

    assert lost(under_way, "v2") == (
        "a release to v2 is under way at 5 %; without a rollout requests go to v2 100 % at once, without steps and "
        "checks; promote or abort it first, or let traffic point at v1"
    )
    assert "go to v1 50 %, v2 50 % at once" in lost(under_way, "v1", "v2")
    assert "version v3 is blocked: errors failed; without" in lost(ended, "v3")
    for status, to, more in ((under_way, "v1", {}), (ended, "v2", {}), ({}, "v2", {}), (under_way, "v2", ROLLOUT)):
        assert lost(status, to, **more) is None


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
