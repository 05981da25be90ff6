"""Kubernetes' algorithm, by the examples of its documentation."""

from ratelimiter.autoscale.horizontal_pod_autoscaler import HpaMemory, HpaRules, average_ratio, desired, usage_ratio

RULES = HpaRules(1, 100)


def test_twice_the_target_doubles_and_half_of_it_halves_after_the_window():
    assert desired(RULES, HpaMemory(), 0, 4, usage_ratio(200, 100, 4))[0] == 8
    count, memory = desired(RULES, HpaMemory(), 0, 4, usage_ratio(100, 100, 4))
    assert desired(RULES, memory, 15, 4, usage_ratio(50, 100, 4))[0] == 4
    assert desired(RULES, memory, 301, count, usage_ratio(50, 100, 4))[0] == 2


def test_within_the_tolerance_nothing_changes_so_that_one_of_eleven_is_missed():
    assert desired(RULES, HpaMemory(), 0, 11, average_ratio(12, 1, 11))[0] == 11
    assert desired(HpaRules(1, 100, tolerance=0), HpaMemory(), 0, 11, average_ratio(12, 1, 11))[0] == 12


def test_a_value_counts_ready_pods_alone_and_so_goes_down_amid_a_rise():
    assert desired(RULES, HpaMemory(), 0, 8, usage_ratio(1.5, 1, 4))[0] == 6
    assert desired(RULES, HpaMemory(), 0, 8, average_ratio(8, 1, 8))[0] == 8


def test_it_adds_four_or_doubles_in_a_period():
    assert desired(RULES, HpaMemory(), 0, 2, usage_ratio(100, 1, 2))[0] == 6
    count, memory = desired(RULES, HpaMemory(), 0, 10, usage_ratio(100, 1, 10))
    assert count == 20
    assert desired(RULES, memory, 10, 20, usage_ratio(100, 1, 10))[0] == 20


def test_a_missing_metric_changes_nothing():
    assert desired(RULES, HpaMemory(), 0, 4, None)[0] == 4
