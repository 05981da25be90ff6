"""How the figure of refusals after a step is made of what was seen."""

from datetime import UTC, datetime

import pytest

from e2e.figures.refusals import StepFigures, last_refusal, shown, slowest

STEP = datetime(2026, 1, 1, 12, 0, 30, tzinfo=UTC)


def pod(made: int, started: int | None, ready: int | None) -> dict:
    state = {"running": {"startedAt": f"2026-01-01T12:00:{started}Z"}} if started else {"waiting": {}}
    condition = {"type": "Ready", "status": "True" if ready else "False"}
    conditions = [{**condition, "lastTransitionTime": f"2026-01-01T12:00:{ready or made}Z"}]
    metadata = {"creationTimestamp": f"2026-01-01T12:00:{made}Z"}
    return {"metadata": metadata, "status": {"conditions": conditions, "containerStatuses": [{"state": state}]}}


def test_the_last_refusal_is_that_of_the_last_second_with_more_than_noise():
    sent = [100 + number / 100 for number in range(3000)]
    refused = [*(at for at in sent[::2] if at < 112.5), 125.0, 125.5]  # late ones that were sent at once
    assert last_refusal(refused, sent, 100.0) == pytest.approx(12.48)
    assert last_refusal([], sent, 100.0) == 0.0
    assert last_refusal([99.0], sent, 100.0) == 0.0  # of the load before


def test_the_slowest_of_the_new_replicas_counts():
    old, unready = pod(10, 11, 12), pod(35, None, None)
    assert slowest([old, pod(40, 42, 47), pod(40, 41, 50), unready], STEP) == (2.0, 9.0)
    with pytest.raises(AssertionError, match="nothing is measured"):
        slowest([old, unready], STEP)


def test_each_step_is_compared_with_its_own_bound():
    quick, slow = StepFigures(30.0, 2.0, 7.0, 6), StepFigures(42.0, 2.0, 17.0, 8)
    assert (quick.bound("hpa"), slow.bound("tidegate")) == (40.0, 45.0)
    figures = shown("hpa", [quick, slow])
    assert figures[0].value == "median 36.0 s, most 42.0 s"
    assert (figures[-1].value, figures[-1].met) == ("0.84 times", True)
    assert shown("hpa", [StepFigures(50.0, 2.0, 7.0, 6)])[-1].met is False
