"""Pauses grow, and end at the longest however often something fails; a server's wish is kept, within reason."""

import pytest

from k8s_manager.kube.errors import Unavailable, error_of
from k8s_manager.runtime.backoff import MOST_ASKED, Backoff, RestartPauses, asked_by

BACKOFF = Backoff(0.5, 60.0)


def test_each_pause_is_twice_the_last_until_the_longest():
    assert [BACKOFF.after(failures) for failures in range(1, 10)] == [0.5, 1, 2, 4, 8, 16, 32, 60, 60]


def test_what_fails_for_days_still_has_a_pause():
    assert BACKOFF.after(100_000) == 60


@pytest.mark.parametrize(("chance", "expected"), [(0.0, 1.0), (0.5, 2.0), (1.0, 3.0)])
def test_pauses_are_jittered(chance, expected):
    assert BACKOFF.pause(3, None, lambda: chance) == expected


@pytest.mark.parametrize(
    ("header", "body", "expected"),
    [
        ("7", {}, 7),
        (None, {"details": {"retryAfterSeconds": 9}}, 9),
        ("3", {"details": {"retryAfterSeconds": 9}}, 3),
        ("1e9", {}, 0),
        ("-4", {}, 0),
        ("²", {}, 0),
        ("999999999", {}, MOST_ASKED),
        ("Wed, 21 Oct 2026 07:28:00 GMT", {"details": "odd"}, 0),
        (None, {"details": {"retryAfterSeconds": "9", "causes": [3, None]}}, 0),
    ],
)
@pytest.mark.parametrize("status", [429, 503, 504, 599])
def test_what_a_server_asks_for_is_kept_within_reason(status, header, body, expected):
    error = error_of(status, body, "list pods", header)
    assert isinstance(error, Unavailable) and asked_by(error) == expected
    assert BACKOFF.pause(1, error, lambda: 0.0) == max(expected, 0.25)


def test_a_success_that_does_not_last_is_none():
    pauses = RestartPauses(Backoff(1.0, 8.0), 10.0, lambda: 0.5)
    said = []
    for began in (0.0, 2.0, 5.0, 10.0):
        pauses.begin(began)
        said.append(pauses.end(began + 0.1))
    assert said == [1, 2, 4, 8]
    pauses.begin(20.0)
    pauses.begin(29.0)  # it runs already
    assert pauses.end(30.0) == 0 and pauses.end(30.0) == 1
