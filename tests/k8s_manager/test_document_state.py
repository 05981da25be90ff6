"""What conditions come to, for people."""

from k8s_manager.document_state import state, trouble


def document(*conditions: tuple[str, str, str]) -> dict:
    found = [{"type": t, "status": s, "reason": r, "message": f"about {t}"} for t, s, r in conditions]
    return {"metadata": {"name": "ranker"}, "status": {"conditions": found}}


def test_all_is_well_where_what_should_hold_does_and_what_should_not_does_not():
    well = document(("Ready", "True", "Ready"), ("Degraded", "False", "AsExpected"), ("Drift", "False", "Adopted"))
    assert state(well) == "Ready" and trouble(well) == []


def test_a_condition_of_trouble_that_holds_is_trouble():
    bad = document(("Ready", "True", "Ready"), ("Degraded", "True", "CrashLoopBackOff"), ("Drift", "True", "Reported"))
    assert trouble(bad) == ["Degraded: about Degraded", "Drift: about Drift"]
    unknown = document(("Ready", "Unknown", "Pending"), ("Degraded", "Unknown", "Pending"))
    assert state(unknown) == "Pending" and trouble(unknown) == ["Ready: about Ready"]
