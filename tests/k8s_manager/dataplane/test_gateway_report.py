"""What is said of the load of a gateway, and of a pod that shows another revision than what is written."""

import pytest

from collectors.replicas import PodState
from k8s_manager.dataplane.gateway_report import ProbedPod, WrittenSlot, load_of, pod_line, slot_line
from ratelimiter.config_probe import PodConfigState, ShownRevision
from ratelimiter.fairness import PodLoad

POD = PodState("gw-1", frozenset(), True, False, "10.0.0.1")
SLOTS = {8: WrittenSlot(("search/ranker",), 1, 0x900001), 9: WrittenSlot((), 0, 0xA00002)}


def at(second: float) -> str:
    return f"at {second:g}"


@pytest.mark.parametrize(
    ("loads", "state", "full", "said"),
    [
        ({}, "NotRead", None, "not been read"),
        ({"a": PodLoad(900, 0)}, "Single", None, "whole"),
        ({"a": PodLoad(90, 0), "b": PodLoad(9, 0)}, "Few", None, "too few"),
        ({"a": PodLoad(500, 0), "b": PodLoad(500, 0)}, "Even", 1.0, "about the share"),
        ({"a": PodLoad(900, 0), "b": PodLoad(100, 0)}, "Skewed", 1000 / 1800, "a gets 90% of the requests"),
        ({"a": PodLoad(900, 90), "b": PodLoad(100, 0)}, "Uneven", 1000 / 1800, "full at about 56% of its figure"),
        ({"a": PodLoad(0, 0), "b": PodLoad(0, 0), "c": PodLoad(300, 0)}, "Skewed", 1 / 3, "c gets 100%"),
    ],
)
def test_a_load_says_what_it_means_for_limits(loads, state, full, said):
    found = load_of(loads, ("b",), 60.0)
    assert (found["state"], found["limitsFullAt"], found["unread"]) == (state, full, ["b"])
    assert said in found["message"]
    assert sum(pod["share"] or 0 for pod in found["pods"]) == (1 if found["requests"] else 0)


def test_a_pod_tells_for_each_slot_what_it_runs():
    state = PodConfigState("Rejected", behind=frozenset({8, 9}), late=frozenset({9}))
    found = pod_line(ProbedPod(POD, state, {8: ShownRevision(0x900003, 5.0)}, 9.0), SLOTS, at)
    assert (found["state"], found["ready"], found["silentSince"]) == ("Rejected", True, None)
    assert found["slots"] == [
        {"slot": 8, "state": "Pending", "revision": "00003", "since": "at 5"},
        {"slot": 9, "state": "Rejected", "revision": None, "since": None},
    ]


def test_a_pod_that_does_not_answer_says_since_when():
    state = PodConfigState("NoAnswer", behind=frozenset({8, 9}), silent=True)
    found = pod_line(ProbedPod(POD, state, {8: ShownRevision(0x900001, 5.0)}, 9.0), SLOTS, at)
    assert (found["state"], found["silentSince"]) == ("NoAnswer", "at 9")
    assert [one["state"] for one in found["slots"]] == ["NoAnswer", "NoAnswer"]


def test_a_pod_that_was_not_asked_has_no_slots():
    found = pod_line(ProbedPod(POD), SLOTS, at)
    assert (found["state"], found["slots"]) == ("NotAsked", [])


def test_a_slot_shows_the_revision_that_its_pods_show_and_its_time_to_effect():
    found = slot_line(8, WrittenSlot(("a/b",), 2, 0x9ABCDE, 1, True, 3.0, 0.25161), at)
    assert (found["use"], found["revision"], found["pendingSince"], found["effectSeconds"]) == (
        "quiet", "abcde", "at 3", 0.252,
    )  # fmt: skip
