import pytest

from k8s_manager.autoscaling.start_time import start_seconds

LABELS = (("app", "ranker"), ("version", "v1"))


def pod(made: str, ready: str | None, **labels: str):
    conditions = [{"type": "Ready", "status": "True", "lastTransitionTime": f"2026-11-30T{ready}Z"}] if ready else []
    metadata = {"labels": {**dict(LABELS), **labels}, "creationTimestamp": f"2026-11-30T{made}Z"}
    return {"metadata": metadata, "status": {"conditions": conditions}}


def test_the_newest_count_and_of_them_the_quickest():
    old = pod("05:00:00", "05:00:01")
    new = [pod(f"07:0{minute}:00", f"07:0{minute}:{seconds}") for minute, seconds in enumerate((50, 40, 45, 59, 41))]
    assert start_seconds([old, *new], LABELS) == 40


def test_a_pod_that_was_unready_for_a_while_does_not_count_for_hours():
    assert start_seconds([pod("05:00:00", "09:00:00"), pod("05:10:00", "05:10:30")], LABELS) == 30


@pytest.mark.parametrize(
    "other",
    [
        pod("07:00:00", None),
        pod("07:00:00", "07:00:09", version="v2"),
        pod("07:00:00", "06:00:00"),
        pod("at noon", "07:00:09"),
        {"metadata": None, "status": None},
    ],
)
def test_what_is_not_ready_of_another_version_or_odd_says_nothing(other):
    assert start_seconds([other], LABELS) == 0
