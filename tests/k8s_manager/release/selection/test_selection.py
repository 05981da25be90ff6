"""What all strategies have in common: pins, blocks, the cool-down, expiry, and no change while a release runs."""

from dataclasses import replace
from datetime import timedelta

import pytest

from k8s_manager.release.selection.selection import evaluate
from k8s_manager.release.selection.selection_decision import NoChangeReason, NoSelection, SelectionDecision
from k8s_manager.release.selection.selection_rules import AccuracyDriven, Manual, SelectionRules
from k8s_manager.release.selection.version_facts import ServedVersion, VersionPin
from tests.k8s_manager.release.selection.facts import AUC, DAY, HOUR, NOW, said, version

RULES = SelectionRules(AccuracyDriven(AUC, 0.01))
V1 = ServedVersion("v1", NOW - 10 * DAY)
VERSIONS = [version("v1", 0.9), version("v2", 0.95), version("v3", 0.8)]
PIN = VersionPin("ann", NOW - HOUR)


def pinned(name: str, pin: VersionPin = PIN, **more):
    return [replace(one, pinned=pin, **more) if one.name == name else one for one in VERSIONS]


def test_a_decision_has_its_evidence_its_beginning_and_its_end():
    assert evaluate(RULES, VERSIONS, V1, NOW) == evaluate(RULES, VERSIONS[::-1], V1, NOW)
    found = evaluate(RULES, VERSIONS, V1, NOW)
    assert isinstance(found, SelectionDecision)
    assert (found.from_, found.to, found.strategy) == ("v1", "v2", "accuracyDriven")
    assert (found.not_before, found.expires) == (NOW, NOW + 7 * DAY)
    assert [one.sentence for one in found.evidence] == [
        "auc on holdout of v2 is 0.95 of 1000 samples, the best of 2 eligible.",
        "That is 0.05 better than the 0.9 of the served v1.",
    ]
    assert dict(found.evidence[0].figures) == {"value": 0.95, "samples": 1000}


def test_a_version_serves_for_the_cool_down_at_least():
    found = evaluate(RULES, VERSIONS, replace(V1, since=NOW - HOUR), NOW)
    assert isinstance(found, SelectionDecision)
    assert (found.not_before, found.expires) == (NOW + 23 * HOUR, NOW + 23 * HOUR + 7 * DAY)


def test_nothing_is_chosen_while_a_release_is_under_way():
    for versions in (VERSIONS, pinned("v2")):
        assert said(evaluate(RULES, versions, replace(V1, releasing=True), NOW))[0] is NoChangeReason.RELEASING


def test_a_pin_is_released_at_once_and_overrides_the_strategy():
    found = evaluate(RULES, pinned("v3"), replace(V1, since=NOW - HOUR), NOW)
    assert isinstance(found, SelectionDecision)
    assert (found.to, found.strategy, found.not_before) == ("v3", "manual", NOW)
    assert found.evidence[0].sentence == "v3 is pinned by ann since 2026-06-01 11:00."


def test_a_version_that_serves_and_is_pinned_stays_until_it_is_unpinned():
    found = evaluate(RULES, pinned("v1"), V1, NOW)
    assert isinstance(found, NoSelection) and found.reason is NoChangeReason.PINNED
    assert (
        found.sentence == "v1 serves and is pinned by ann since 2026-06-01 11:00; unpin it to let the strategy choose."
    )
    assert said(evaluate(RULES, VERSIONS, V1, NOW))[0] == "v2"


@pytest.mark.parametrize(
    ("pin", "rules"),
    [
        (replace(PIN, ends=NOW), RULES),
        (replace(PIN, at=NOW + HOUR), RULES),
        (PIN, replace(RULES, pin_ttl=HOUR)),
        (PIN, replace(RULES, approvers=1)),
        (replace(PIN, approvals=("ann", "ann")), replace(RULES, approvers=1)),
    ],
)
def test_a_pin_that_has_ended_or_is_not_approved_overrides_nothing(pin, rules):
    assert said(evaluate(rules, pinned("v3", pin), V1, NOW))[0] == "v2"


def test_a_pin_that_another_person_approves_counts():
    rules = replace(RULES, approvers=1)
    found = evaluate(rules, pinned("v3", replace(PIN, approvals=("bob",), ends=NOW + DAY)), V1, NOW)
    assert isinstance(found, SelectionDecision) and found.to == "v3"
    assert (
        found.evidence[0].sentence
        == "v3 is pinned by ann since 2026-06-01 11:00, until 2026-06-02 12:00, approved by bob."
    )


def test_a_pinned_version_that_is_blocked_is_not_released_and_its_owner_hears_of_it():
    found = evaluate(RULES, pinned("v3", blocked="5xx 3 %"), V1, NOW)
    assert isinstance(found, NoSelection) and found.needs_owner and found.reason is NoChangeReason.PINNED_BLOCKED
    assert "blocked (5xx 3 %); retry it, or pin another version" in found.sentence


def test_of_two_pins_the_later_one_counts():
    versions = [
        replace(VERSIONS[0]),
        replace(VERSIONS[1], pinned=replace(PIN, at=NOW)),
        replace(VERSIONS[2], pinned=PIN),
    ]
    assert said(evaluate(RULES, versions, V1, NOW))[0] == "v2"


def test_manual_chooses_nothing_without_a_pin_and_says_what_a_pin_waits_for():
    manual = SelectionRules(Manual(), approvers=2)
    assert said(evaluate(manual, VERSIONS, V1, NOW))[0] is NoChangeReason.NO_PIN
    found = evaluate(manual, pinned("v2", replace(PIN, approvals=("bob",))), V1, NOW)
    assert said(found)[0] is NoChangeReason.NOT_APPROVED and isinstance(found, NoSelection)
    assert found.sentence == "v2 is pinned by ann and needs the approval of 1 more; approve it."


def test_two_facts_of_one_name_are_refused():
    with pytest.raises(ValueError, match="list each of them once"):
        evaluate(RULES, [*VERSIONS, VERSIONS[0]], V1, NOW)


def test_a_decision_that_was_carried_out_is_not_made_again():
    found = evaluate(RULES, VERSIONS, V1, NOW)
    assert isinstance(found, SelectionDecision)
    assert (
        said(evaluate(RULES, VERSIONS, ServedVersion(found.to, NOW), NOW + timedelta(days=2)))[0]
        is NoChangeReason.NOT_BETTER
    )
