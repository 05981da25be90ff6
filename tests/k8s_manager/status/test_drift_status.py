from datetime import UTC, datetime, timedelta

import pytest

from istio_templates.facts import ObjectKey
from k8s_manager.drift.repair import Repair
from k8s_manager.pipeline.apply import Results
from k8s_manager.pipeline.changes import Changes
from k8s_manager.pipeline.plan import Plan
from k8s_manager.status.drift_status import LASTS, DriftNotes

NOW = datetime(2026, 11, 21, 3, 0, tzinfo=UTC)
OWNER = ("", "search", "ranker")
DEPLOYMENT = ObjectKey("Deployment", "search", "ranker-v1")


def repaired(*fields: str) -> Results:
    return Results(repaired={DEPLOYMENT: Repair(OWNER, "1", ("night-shift",), fields=fields)})


def conditions(notes: DriftNotes, results: Results, now: datetime):
    return notes.conditions(results, Changes((), ()), Plan(), {}, now)


def test_a_repair_names_the_fields_and_the_writer():
    found = conditions(DriftNotes(), repaired("spec.replicas"), NOW)[OWNER]
    assert found.message.startswith("spec.replicas of Deployment search/ranker-v1 was changed by night-shift")
    several = Repair(OWNER, "1", ("a",), fields=tuple(f"spec.f{n}" for n in range(7))).sentence(DEPLOYMENT)
    assert several.startswith("spec.f0, spec.f1, spec.f2, spec.f3, spec.f4, and 2 more of Deployment")
    assert "were changed by a" in several


@pytest.mark.parametrize("writer, mover", [("rollouts-controller", "Argo Rollouts"), ("flagger", "Flagger")])
def test_a_controller_that_moves_weights_is_told_apart(writer, mover):
    route = ObjectKey("VirtualService", "search", "ranker")
    both = {route: Repair(OWNER, "1", (writer,), fields=("spec.http",)), **repaired("spec.replicas").repaired}
    notes = DriftNotes()
    found = conditions(notes, Results(repaired=both), NOW)[OWNER]
    assert found.reason == "Contested" and f"{mover} claims it as well" in found.message
    assert conditions(notes, repaired("spec.replicas"), NOW)[OWNER].reason == "Repaired"
    status = {"reason": found.reason, "message": found.message}
    assert DriftNotes().lasting(OWNER, status, NOW) == found
    assert Repair(OWNER, "1", ("helm",), fields=("spec.http",)).reason(route) == "Repaired"


def test_a_repair_is_over_after_a_while_and_another_one_begins_anew():
    notes = DriftNotes()
    conditions(notes, repaired("spec.replicas"), NOW)
    assert notes.next_end(NOW) == LASTS
    conditions(notes, repaired("spec.strategy"), NOW + LASTS / 2)
    assert OWNER in conditions(notes, Results(), NOW + LASTS)
    assert OWNER not in conditions(notes, Results(), NOW + 2 * LASTS)
    assert notes.next_end(NOW + 2 * LASTS) is None


def test_what_a_status_had_said_before_a_restart_is_over_too():
    notes, before = DriftNotes(), {"reason": "Repaired", "message": "it was set back"}
    assert notes.lasting(OWNER, before, NOW).message == "it was set back"
    assert notes.lasting(OWNER, before, NOW + LASTS - timedelta(seconds=1)) is not None
    assert notes.lasting(OWNER, before, NOW + LASTS) is None
    assert notes.lasting(OWNER, {"reason": "Reported", "message": ""}, NOW) is None
    assert notes.lasting(OWNER, None, NOW) is None
