"""What a Job and its pod say of a check, whatever shape others have given them."""

from typing import Any

import pytest

from k8s_manager.release.external.job_outcome import job_reading

NAME = "ranker-load-0123456789"


def job(*conditions: Any) -> dict[str, Any]:
    return {"metadata": {"name": NAME}, "status": {"conditions": list(conditions)}}


def pod(name: str = NAME, **state: Any) -> dict[str, Any]:
    labels = {"batch.kubernetes.io/job-name": name}
    return {"metadata": {"labels": labels}, "status": {"containerStatuses": [{"name": "check", "state": state}]}}


def met(kind: str, **more: Any) -> dict[str, Any]:
    return {"type": kind, "status": "True", **more}


FAILED = met("Failed", reason="BackoffLimitExceeded", message="Job has reached the specified backoff limit")
OUT = pod(terminated={"exitCode": 3, "message": "one\n p99 is\t420 ms \n\n"})


@pytest.mark.parametrize(
    ("found", "pods", "outcome", "said"),
    [
        (job(met("Complete")), [], "passed", f"passed: {NAME} completed"),
        (job(met("SuccessCriteriaMet")), [], "pending", "has not ended yet"),
        (job({"type": "Complete", "status": "False"}), [], "pending", "has not ended yet"),
        (job(FAILED), [], "failed", "failed, Job has reached the specified backoff limit"),
        (job(FAILED), [pod("another", terminated={"exitCode": 9}), OUT], "failed", "exit code 3: p99 is 420 ms"),
        (job(FAILED), [pod(terminated={"exitCode": 1})], "failed", "exit code 1"),
        (job(met("Failed", reason="DeadlineExceeded")), [], "failed", "did not end within its timeout"),
        (job(), [pod(waiting={"reason": "ErrImagePull"})], "pending", "its pod waits: ErrImagePull"),
        (job(), [pod(running={})], "pending", "has not ended yet"),
        ({"metadata": {"name": NAME}}, [], "pending", "has not ended yet"),
        ({"metadata": {"name": NAME}, "status": 3}, [{"metadata": {}}], "pending", "has not ended yet"),
        ({"metadata": {"name": NAME}, "status": {"conditions": "x"}}, [], "pending", "has not ended yet"),
    ],
)
def test_readings(found, pods, outcome, said):
    reading = job_reading(found, pods, 5.0)
    assert (reading.outcome, reading.at) == (outcome, 5.0) and said in reading.sentence, reading.sentence
