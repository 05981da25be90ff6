from hypothesis import given
from hypothesis import strategies as st

from istio_templates.documents.warmup import Latency, Load, SteadyState, Success
from warmup.plans.success import CaseCounts, nearest_rank

latencies = st.lists(st.floats(0.0001, 10), min_size=1, max_size=200)


def tally(
    window: int = 5,
    least: int = 5,
    most: int = 50,
    failures: int = 0,
    steady: SteadyState | None = None,
    longest: str = "100ms",
    quantile: float = 0.99,
    duration: str = "0s",
) -> CaseCounts:
    success = Success(
        window=window, latency=Latency(max=longest, quantile=quantile), max_failures=failures, steady_state=steady
    )
    return CaseCounts(Load(min_requests=least, max_requests=most, min_duration=duration), success)


@given(found=latencies, quantile=st.floats(0.01, 1))
def test_the_quantile_is_one_of_the_latencies_and_enough_of_them_do_not_exceed_it(found, quantile):
    value = nearest_rank(found, quantile)
    assert value in found
    assert sum(latency <= value for latency in found) >= quantile * len(found)
    assert sum(latency < value for latency in found) < quantile * len(found) or value == min(found)


def test_below_a_hundred_calls_p99_is_the_slowest():
    assert nearest_rank([0.1] * 98 + [5.0], 0.99) == 5.0


@given(slow=st.integers(0, 40))
def test_slow_first_calls_are_outside_the_window_by_themselves(slow):
    found = tally(window=5, least=5, most=1000)
    for _ in range(slow):
        found.add(3.0)
    calls = 0
    while found.verdict(1) is None:
        found.add(0.01)
        calls += 1
    assert found.verdict(1) == "passed"
    assert calls == 5


@given(calls=st.lists(st.one_of(st.none(), st.floats(0.001, 0.3)), max_size=60))
def test_it_passes_only_if_the_last_calls_are_all_fast_and_answered(calls):
    found = tally(window=5, least=5, most=1000)
    for call in calls:
        found.add(call, "503")
    last = calls[-5:]
    fast = len(last) == 5 and all(call is not None and call <= 0.1 for call in last)
    assert (found.verdict(1) == "passed") == fast


def test_failures_are_allowed_inside_the_window_up_to_a_number():
    found = tally(failures=1)
    for call in (0.01, 0.01, None, 0.01, 0.01):
        found.add(call, "busy")
    assert found.verdict(1) == "passed"
    found.add(None, "busy")
    assert found.verdict(1) is None
    assert found.objection() == "2 of the last 5 calls failed: busy"


def test_it_is_spent_when_its_requests_are_used_up():
    found = tally(most=7)
    for _ in range(6):
        found.add(0.5)
        assert found.verdict(1) is None
    found.add(0.5)
    assert found.verdict(1) == "spent"
    assert found.objection() == "p99 is 500.0 ms, above 100ms"


def test_a_case_lasts_as_long_as_it_must():
    found = tally(duration="2s")
    for _ in range(100):
        found.add(0.01)
    assert found.verdict(1.9) is None
    assert found.verdict(2) == "passed"


def test_a_latency_that_still_falls_is_not_steady():
    found = tally(window=4, least=4, most=1000, steady=SteadyState(windows=3, tolerance=0.1))
    for call in (0.09, 0.09, 0.09, 0.09, 0.05, 0.05, 0.05, 0.05, 0.02, 0.02, 0.02, 0.02):
        found.add(call)
    assert found.verdict(1) is None
    assert "differ by 350%" in (found.objection() or "")
    for _ in range(8):
        found.add(0.02)
    assert found.verdict(1) == "passed"
