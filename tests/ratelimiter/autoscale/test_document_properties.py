"""What holds for every document: any signals with any weights and guards, any schedules, at any moment."""

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from istio_templates.documents.autoscale import VersionAutoscale
from istio_templates.documents.autoscale_signal import KINDS
from ratelimiter.autoscale.decision import ScaleMemory, ScaleObservation, ScaleRules, decide
from ratelimiter.autoscale.document_rules import rules_at
from ratelimiter.autoscale.signals import SignalReading

MONDAY = datetime(2026, 11, 30, tzinfo=UTC)
NOW, PER_REPLICA = 10_000.0, 20
_QUERY = {"prometheus": "sum(a)"}
_FORMS: dict[str, dict[str, Any]] = {
    **{name: {"target": "75%"} for name in ("demand", "cpu", "memory", "gpu", "gpuMemory")},
    "concurrency": {"target": 4},
    "latency": {"target": "80ms"},
    "queue": {"target": 5, **_QUERY},
    "prometheus": {"target": 900, **_QUERY},
}
SCALES = {"demand": 2000.0, "concurrency": 500.0, "latency": 10.0, "queue": 500.0, "prometheus": 1e5}


@st.composite
def documents(draw: st.DrawFn) -> VersionAutoscale:
    """Return a document that is taken."""
    names = draw(st.lists(st.sampled_from(sorted(KINDS)), min_size=1, unique=True))
    parts = draw(st.lists(st.integers(0, 5), min_size=len(names), max_size=len(names)))
    guards = draw(st.lists(st.booleans(), min_size=len(names), max_size=len(names)))
    guards[0] = guards[0] or not any(parts)
    signals = [
        {"name": name, **_FORMS[name], "weight": part / (sum(parts) or 1), "guard": guard}
        for name, part, guard in zip(names, parts, guards, strict=True)
    ]
    schedule = st.fixed_dictionaries(
        {
            "cron": st.integers(0, 23).map("0 {} * * *".format),
            "length": st.integers(1, 24).map("{}h".format),
            "min": st.integers(0, 8),
        }
    )
    given_ = {
        "min": draw(st.integers(1, 8)),
        "max": draw(st.integers(8, 50)),
        "signals": signals,
        "schedules": draw(st.lists(schedule, max_size=3)),
        "scaleDown": {"window": draw(st.sampled_from(["0s", "1m", "5m"])), "step": "50%"},
    }
    return VersionAutoscale.model_validate(given_)


moments = st.integers(0, 3 * 86_400).map(lambda passed: MONDAY + timedelta(seconds=passed))
idle = dict.fromkeys(sorted(KINDS), 0.0)
reads = st.just(idle) | st.fixed_dictionaries({name: st.floats(0, SCALES.get(name, 2.0)) for name in sorted(KINDS)})
histories = st.lists(reads, max_size=4) | st.just([idle] * 4)
fleets = st.integers(0, 50).flatmap(
    lambda replicas: st.tuples(st.just(replicas), st.just(replicas) | st.integers(0, replicas))
)


def seen(read: dict[str, float], replicas: int, warm: int, at: float = NOW, age: float = 25) -> ScaleObservation:
    return ScaleObservation(at, replicas, warm, {name: SignalReading(value, at - age) for name, value in read.items()})


def remembered(rules: ScaleRules, earlier: list[dict[str, float]], replicas: int) -> ScaleMemory:
    memory = ScaleMemory()
    for turn in range(len(earlier), 0, -1):
        _, memory = decide(rules, memory, seen(earlier[-turn], replicas, replicas, NOW - 100 * turn))
    return memory


@given(documents(), moments, histories, fleets, reads, st.data())
@settings(deadline=None)
def test_more_of_any_kind_of_signal_never_means_fewer(document, now, earlier, fleet, read, data):
    rules = rules_at(document, PER_REPLICA, now)
    memory = remembered(rules, earlier, fleet[0])
    name = data.draw(st.sampled_from([signal.name for signal in document.signals]))
    more = data.draw(st.floats(0, SCALES.get(name, 2.0)))
    less, _ = decide(rules, memory, seen(read, *fleet))
    raised, _ = decide(rules, memory, seen({**read, name: read[name] + more}, *fleet))
    assert raised.replicas >= less.replicas


@given(documents(), moments, histories, fleets, reads, st.data(), st.sampled_from([61.0, 7 * 86_400.0]))
@settings(deadline=None)
def test_any_signals_that_are_lost_or_old_never_scale_down(document, now, earlier, fleet, read, data, age):
    rules = rules_at(document, data.draw(st.sampled_from([PER_REPLICA, None])), now)
    lost = data.draw(st.sets(st.sampled_from([signal.name for signal in document.signals]), min_size=1))
    left = {name: value for name, value in read.items() if name not in lost}
    memory = remembered(rules, earlier, fleet[0])
    without, old = seen(left, *fleet), seen(read, *fleet, age=age)
    assert decide(rules, memory, without)[0].replicas >= fleet[0]
    assert decide(rules, memory, old)[0].replicas >= fleet[0]


@given(documents(), moments, histories, st.integers(0, 60), reads)
@settings(deadline=None)
def test_never_outside_the_bounds_with_what_schedules_ask_for(document, now, earlier, replicas, read):
    rules = rules_at(document, PER_REPLICA, now)
    found, _ = decide(rules, remembered(rules, earlier, replicas), seen(read, replicas, replicas))
    forced = [one.min for one in document.schedules if _lasts(one, now)]
    lowest = max(document.min, *forced, 0)
    assert (rules.least, rules.most) == (lowest, document.max)
    is_missing = any(term.ratio is None for term in found.weighing.terms)
    assert lowest <= found.replicas <= (max(document.max, replicas) if is_missing else document.max)


def _lasts(schedule: Any, now: datetime) -> bool:
    """Tell by counting hours back whether a schedule is in force; it begins at a whole hour of each day."""
    hour = int(schedule.cron.split()[1])
    since = (now - now.replace(hour=hour, minute=0, second=0)) % timedelta(days=1)
    return since < timedelta(hours=int(schedule.length.removesuffix("h")))
