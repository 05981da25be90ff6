"""Why a pod takes no requests is read from its status as a kubelet writes it."""

import pytest

from collectors.pod_trouble import trouble_of

RUNNING = {"name": "model", "ready": False, "restartCount": 0, "state": {"running": {}}}


def pod(*containers: dict, init: tuple[dict, ...] = (), conditions: tuple[dict, ...] = ()) -> dict:
    status = {"containerStatuses": [*containers], "initContainerStatuses": [*init], "conditions": [*conditions]}
    return {"metadata": {"name": "p"}, "status": status}


def waiting(reason: str, message: str = "", **more) -> dict:
    return {**RUNNING, "state": {"waiting": {"reason": reason, "message": message}}, **more}


def ended(code: int, reason: str = "Error", message: str = "") -> dict:
    return {"terminated": {"exitCode": code, "reason": reason, "message": message}}


@pytest.mark.parametrize(
    ("found", "reason", "said"),
    [
        (pod(waiting("ImagePullBackOff", 'Back-off pulling image "a"')), "ImagePullBackOff", 'pulling image "a"'),
        (pod(waiting("ErrImagePull", "not found")), "ImagePullBackOff", "not found"),
        (pod(waiting("InvalidImageName", "couldn't parse")), "InvalidImageName", "couldn't parse"),
        (
            pod(waiting("CreateContainerConfigError", 'secret "hf" not found')),
            "CreateContainerConfigError",
            'secret "hf" not found',
        ),
        (pod(waiting("CreateContainerError", "no command specified")), "CreateContainerError", "no command specified"),
        (
            pod(
                waiting("CrashLoopBackOff", "back-off 10s", restartCount=3, lastState=ended(1, message="a\nKeyError\n"))
            ),
            "CrashLoopBackOff",
            "container model ended with exit code 1 (Error), restarted 3 times, last message: KeyError",
        ),
        (
            pod({**RUNNING, "restartCount": 1, "lastState": ended(137, "OOMKilled")}),
            "CrashLoopBackOff",
            "container model ended with exit code 137 (OOMKilled), restarted once",
        ),
        (pod({**RUNNING, "state": ended(0, "Completed")}), "CrashLoopBackOff", "exit code 0 (Completed)"),
        (pod({**RUNNING, "state": ended(128, "StartError", "exec: no such file")}), "CrashLoopBackOff", "StartError"),
        (
            pod(
                conditions=(
                    {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 cpu"},
                )
            ),
            "Unschedulable",
            "0/3 cpu",
        ),
        (
            pod(
                waiting("PodInitializing"),
                init=({**waiting("CrashLoopBackOff", lastState=ended(2)), "name": "fetch", "restartCount": 2},),
            ),
            "CrashLoopBackOff",
            "container fetch ended with exit code 2 (Error), restarted 2 times",
        ),
    ],
)
def test_a_failure_has_the_reason_that_kubernetes_gives(found, reason, said):
    trouble = trouble_of(found)
    assert trouble is not None and trouble.is_failure
    assert trouble.reason == reason and said in trouble.said


@pytest.mark.parametrize(
    "found",
    [
        pod(),
        {"metadata": {"name": "p"}},
        pod(RUNNING),
        pod(waiting("ContainerCreating")),
        pod(waiting("PodInitializing"), init=({**RUNNING, "state": ended(0, "Completed"), "lastState": ended(1)},)),
        pod(RUNNING, conditions=({"type": "Ready", "status": "False", "message": "containers with unready status"},)),
    ],
)
def test_a_pod_that_may_only_be_starting_has_not_failed(found):
    trouble = trouble_of(found)
    assert trouble is None or not trouble.is_failure


def test_what_two_reads_of_one_crash_loop_say_is_one_reason():
    loop = {"restartCount": 2, "lastState": ended(1)}
    states = ({"waiting": {"reason": "CrashLoopBackOff"}}, {"running": {}}, ended(1))
    assert {trouble_of(pod({**RUNNING, **loop, "state": state})).reason for state in states} == {"CrashLoopBackOff"}
