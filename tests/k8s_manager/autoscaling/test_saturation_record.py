"""What a manager takes over of replicas that do not bear their figure, from whatever stands in a status."""

from typing import Any

import pytest

from k8s_manager.autoscaling.saturation_record import recorded_saturation, saturation_entry
from ratelimiter.autoscale.saturation import Saturation
from tests.k8s_manager.autoscaling.readings.scene import target

FOUND = Saturation(20.0, 0.4, 0.08)
TARGET = target({"name": "demand", "target": "80%"})
ENTRY = saturation_entry(TARGET, FOUND)


def recorded(too_high: Any, version: str = "v1") -> Saturation | None:
    return recorded_saturation({"status": {"autoscale": [{"version": version, "tooHigh": too_high}]}}, TARGET)


def test_what_was_found_of_the_same_figures_and_pods_is_taken_over():
    assert recorded(ENTRY) == FOUND
    assert recorded(ENTRY, version="v2") is None
    assert recorded({**ENTRY, "of": "others"}) is None


@pytest.mark.parametrize(
    "model",
    [
        {},
        {"status": None},
        {"status": {"autoscale": "v1"}},
        {"status": {"autoscale": ["v1", None]}},
        {"status": {"autoscale": [{"version": "v1"}]}},
    ],
)
def test_a_status_without_it_says_nothing(model):
    assert recorded_saturation(model, TARGET) is None


@pytest.mark.parametrize(
    "too_high", ["much", [], {}, {**ENTRY, "load": "much"}, {**ENTRY, "latency": True}, {"of": ENTRY["of"]}]
)
def test_what_others_have_written_in_another_shape_says_nothing(too_high):
    assert recorded(too_high) is None
