"""Which views of an autoscaled version differ in more than figures."""

from dataclasses import replace
from datetime import UTC, datetime
from fractions import Fraction

from istio_templates.documents.autoscale import VersionAutoscale
from k8s_manager.autoscaling.quotas.namespace_quota import BearableReplicas, QuotaRoom
from k8s_manager.autoscaling.scale_target import ScaleTarget, VersionKey
from k8s_manager.autoscaling.scale_view import ScaleView
from ratelimiter.autoscale.decision import ScaleDecision
from ratelimiter.autoscale.formula import weigh
from ratelimiter.autoscale.saturation import Saturation

KEY = VersionKey("search", "ranker", "v1")
TARGET = ScaleTarget(KEY, "search", VersionAutoscale(max=8), None, Fraction(1), (), "d", 2, 2, False, 2, {})
VIEW = ScaleView(TARGET, ScaleDecision(2, weigh([]), None, None, ()), datetime(2026, 1, 1, tzinfo=UTC))


def bearing(count):
    return replace(VIEW, bearable=BearableReplicas(count, "pods", QuotaRoom(Fraction(1), "all", str(count))))


def test_what_a_quota_bears_is_news_where_it_is_less_than_max():
    assert VIEW.says_the_same(bearing(8)) and bearing(8).says_the_same(bearing(30))
    assert not VIEW.says_the_same(bearing(7)) and not bearing(7).says_the_same(bearing(6))
    assert VIEW.short_of_quota is bearing(8).short_of_quota is None


def test_replicas_that_do_not_bear_their_figure_are_news():
    assert not VIEW.says_the_same(replace(VIEW, saturation=Saturation(18.0, 0.12, 0.08)))


def test_an_autoscaler_that_stands_still_is_news_and_other_words_for_it_are_not():
    silent, other = replace(VIEW, complaint="no metric"), replace(VIEW, complaint="no metric, port 41234")
    assert not VIEW.says_the_same(silent) and silent.says_the_same(other)
    assert not VIEW.says_the_same(replace(VIEW, held_by="keda/keda-metrics-apiserver"))
