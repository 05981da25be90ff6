"""What an autoscaler says of itself. The conditions are those of KEDA 2.21 and Kubernetes 1.34, as they were seen."""

import pytest

from collectors.autoscalers import complaint

READY = {"type": "Ready", "status": "True", "reason": "ScaledObjectReady", "message": "ScaledObject is defined"}
NOT_PAUSED = {"type": "Paused", "status": "False"}
UNAUTHORIZED = "HPA is not actively scaling: /v1/tenants/search/models/ranker/versions/v1/replicas: api returned 401"
SAID = {
    "nothing yet": ([], ""),
    "well": ([READY, NOT_PAUSED, {"type": "HPAActive", "status": "True", "reason": "HPAActive"}], ""),
    "paused": ([READY, {"type": "Paused", "status": "True", "message": "ScaledObject is paused"}], "ScaledObject is paused"),
    "no number": (
        [
            {"type": "Ready", "status": "False", "reason": "TriggerError", "message": "Triggers do not work"},
            {"type": "HPAActive", "status": "False", "reason": "FailedGetExternalMetric", "message": UNAUTHORIZED},
        ],
        UNAUTHORIZED,
    ),
    "no number, before 2.21": (
        [{"type": "Ready", "status": "False", "reason": "TriggerError", "message": "Triggers do not work"}],
        "Triggers do not work",
    ),
    "an HPA without a metric": ([{"type": "ScalingActive", "status": "False", "reason": "FailedGet"}], "FailedGet"),
    "an HPA of no replica": (
        [{"type": "ScalingActive", "status": "False", "reason": "ScalingDisabled", "message": "replicas is zero"}],
        "",
    ),
    "unknown": ([{"type": "Ready", "status": "Unknown", "message": "PartialTriggerError"}], ""),
}  # fmt: skip


@pytest.mark.parametrize("conditions, expected", SAID.values(), ids=SAID)
def test_what_keeps_an_autoscaler_from_scaling_is_said_in_its_words(conditions, expected):
    assert complaint({"metadata": {}, "status": {"conditions": conditions}}) == expected


@pytest.mark.parametrize("scaler", [{}, {"status": {}}, {"status": {"conditions": []}}, {"status": None}])
def test_an_autoscaler_without_a_status_has_no_complaint(scaler):
    assert complaint(scaler) == ""
