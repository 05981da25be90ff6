"""The page on autoscaling: its example is read, and its figures are what the decision makes of them."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from istio_templates.documents import parse
from istio_templates.documents.autoscale import MOST_SCHEDULES, MOST_SIGNALS, VersionAutoscale
from istio_templates.documents.autoscale_signal import GUARDS, KINDS, MOST_QUERY, SignalKind
from ratelimiter.autoscale.decision import ScaleMemory, ScaleObservation, ScaleRules, decide
from ratelimiter.autoscale.document_rules import rules_of
from ratelimiter.autoscale.signals import CAPS, SUMS, UP_ONLY, SignalReading, SignalTarget

DOCS = Path(__file__).parents[3] / "docs"
PAGE = (DOCS / "autoscaling.md").read_text()
EXAMPLE = PAGE.split("```yaml\n")[1].split("```")[0]


def example() -> VersionAutoscale:
    spec: Any = parse(yaml.safe_load(EXAMPLE)).spec
    found: VersionAutoscale = spec.versions[0].autoscale
    return found


def test_the_example_asks_for_what_the_page_says():
    read = {"demand": 210.0, "cpu": 0.49, "latency": 0.06, "queue": 20.0}
    readings = {name: SignalReading(value, 0.0) for name, value in read.items()}
    found, _ = decide(rules_of(example(), 20), ScaleMemory(), ScaleObservation(0.0, 10, 10, readings))
    ratios = {term.target.name: term.ratio for term in found.weighing.terms}
    assert ratios == pytest.approx({"demand": 1.3125, "cpu": 0.7, "latency": 1.0, "queue": 0.4})
    assert (found.weighing.mean, found.need) == (pytest.approx(0.85), pytest.approx(13.125))
    assert (found.replicas, found.holds) == (13, ())


def test_a_saturated_guard_is_worth_what_the_page_says():
    def asked(is_guard: bool) -> int:
        given: list[tuple[SignalKind, float, bool]] = [
            ("cpu", 0.3, is_guard),
            ("gpu", 0.4, False),
            ("latency", 0.3, False),
        ]
        targets = tuple(SignalTarget(kind, kind, 1.0, weight, guard) for kind, weight, guard in given)
        readings = {"cpu": SignalReading(1.43, 0), "gpu": SignalReading(0.3, 0), "latency": SignalReading(1.0, 0)}
        rules = ScaleRules(1, 40, targets, window=0.0)
        return decide(rules, ScaleMemory(), ScaleObservation(0.0, 10, 10, readings))[0].replicas

    assert (asked(False), asked(True)) == (9, 14)


def test_the_table_has_each_signal_with_its_guard_and_its_kind():
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in PAGE.splitlines() if line.startswith("| ")]
    signals = {
        row[0].strip("`"): row for row in rows if len(row) == 6 and row[0].startswith("`") and row[0] != "`name`"
    }
    (other,) = [row for row in rows if row[0] == "any other, with `prometheus`"]
    table = {**signals, "prometheus": other}
    assert table.keys() == KINDS.keys()
    assert {name for name, row in table.items() if row[4] == "yes"} == GUARDS
    assert {name for name, row in table.items() if row[5].startswith("sum")} == SUMS
    assert {name for name, row in table.items() if "up only" in row[5]} == UP_ONLY
    assert {name for name, row in table.items() if "r at most 2" in row[5]} == {
        n for n, cap in CAPS.items() if cap == 2
    }


def test_the_pages_name_the_bounds_that_hold():
    fields = (DOCS / "documents.md").read_text()
    assert f"at most {MOST_SIGNALS}: `name`" in fields and f"at most {MOST_SCHEDULES}: `cron`" in fields
    assert f"at most {MOST_QUERY:,} characters" in PAGE
