import pytest
from hypothesis import given
from hypothesis import strategies as st

from warmup.measurement.load_ramp import HALVINGS, next_rate, proposal, rated


def curve(capacity, first=5.0, most=5000.0, base=0.01, target=0.1):
    """Measure a replica that serves `capacity` requests/s and queues up beyond it."""
    steps = []
    while (rate := next_rate(steps, first, most)) is not None:
        over = rate > capacity
        steps.append(rated(rate, min(rate, capacity), 10.0 if over else base, 0, target))
        assert len(steps) < 40
    return steps


@given(capacity=st.floats(10, 4000))
def test_what_is_proposed_is_served_and_not_much_less_than_could_be(capacity):
    steps = curve(capacity)
    found = proposal(steps)
    assert found is not None
    assert found <= capacity
    assert found >= capacity * 0.9 * (1 - 0.5 / 2**HALVINGS * 1.1) * 0.9


def test_a_replica_that_never_breaks_is_measured_up_to_the_highest_rate():
    steps = curve(10_000, most=100)
    assert steps[-1].offered == 100
    assert proposal(steps) == 90


def test_a_replica_slower_than_the_first_rate_is_sought_below_it():
    steps = curve(1, first=50)
    assert len(steps) <= HALVINGS + 1
    found = proposal(steps)
    assert found is None or found <= 1


def test_a_replica_that_fails_every_request_has_no_rate():
    steps = []
    while (rate := next_rate(steps, 5, 100)) is not None:
        steps.append(rated(rate, 0, None, 3, 0.1, "503: loading"))
    assert proposal(steps) is None
    assert steps[0].broke == "3 requests failed: 503: loading"


@pytest.mark.parametrize(
    ("answered", "latency", "failed", "said"),
    [(100, 0.05, 0, ""), (100, 0.2, 0, "200.0 ms, beyond 100 ms"), (80, 0.05, 0, "it answers 80/s only"), (0, None, 0, "no answer, beyond 100 ms")],
)  # fmt: skip
def test_a_rate_holds_or_says_what_broke(answered, latency, failed, said):
    assert rated(100, answered, latency, failed, 0.1).broke == said
