"""`spec.selection`: each strategy takes its own fields, and what is wrong is named."""

import pytest

from istio_templates.documents import parse
from istio_templates.errors import Invalid
from k8s_manager.release.selection.selection_rules import STRATEGY_NAMES
from k8s_manager.release.selection_document import selection_rules
from tests.support.documents import model

METRIC = {"name": "auc", "dataset": "holdout"}
WHOLE = [
    {"strategy": "dataDriven"},
    {"strategy": "dataDriven", "metric": METRIC, "floor": 0.8, "maxRegression": 0.01, "minFreshness": "24h"},
    {"strategy": "accuracyDriven", "metric": {**METRIC, "direction": "lower", "minSamples": 100}, "minDelta": 0.01},
    {"strategy": "periodicBest", "metric": METRIC, "cron": "0 3 * * 1", "timeZone": "Europe/Berlin"},
    {"strategy": "periodicBest", "metric": METRIC, "cron": "0 3 * * 1", "weights": {"cost": 1}, "lookback": "336h"},
    {"strategy": "threshold", "limits": [{"metric": METRIC, "min": 0.8}], "for": "30m", "fallback": "previous"},
    {
        "strategy": "threshold",
        "limits": [
            {"live": "latency", "max": "200ms", "minRequests": 50},
            {"live": "errors", "max": "2%"},
            {"drift": {"prometheus": "max(psi)"}, "max": 0.2},
        ],
        "for": "4h",
    },
    {"strategy": "threshold", "limits": [{"drift": {"metric": METRIC}, "max": 0.2}], "for": "720h"},
    {"strategy": "manual", "pinTtl": "72h", "coolDown": "0s", "maxDelay": "24h"},
    {"strategy": "manual", "alias": "champion", "registry": {"name": "fleet ranker (EU)"}},
    {"strategy": "dataDriven", "registry": {"name": "ml.search.ranker"}},
]


@pytest.mark.parametrize("selection", WHOLE)
def test_what_a_document_may_say_becomes_rules(selection):
    rules = selection_rules(parse(model(selection=selection)).spec.selection)
    assert STRATEGY_NAMES[type(rules.strategy)] == selection["strategy"]


@pytest.mark.parametrize(
    ("selection", "said"),
    [
        ({}, "strategy"),
        ({"strategy": "best"}, "strategy"),
        ({"strategy": "dataDriven", "alias": "champion"}, "alias: strategy dataDriven takes"),
        ({"strategy": "manual", "alias": "the champion"}, "alias"),
        ({"strategy": "manual", "registry": {"name": "x' OR name='y"}}, "registry.name"),
        ({"strategy": "manual", "registry": {"name": "a/b"}}, "registry.name"),
        ({"strategy": "manual", "registry": {"name": "ranker", "url": "http://169.254.169.254"}}, "url"),
        ({"strategy": "accuracyDriven"}, "metric: is missing; strategy accuracyDriven needs it"),
        ({"strategy": "periodicBest", "metric": METRIC}, "cron: is missing"),
        ({"strategy": "periodicBest", "metric": METRIC, "cron": "61 * * * *"}, "cron"),
        ({"strategy": "periodicBest", "metric": METRIC, "cron": "0 3 * * *", "timeZone": "Mars/One"}, "timeZone"),
        ({"strategy": "periodicBest", "metric": METRIC, "cron": "0 3 * * *", "weights": {"accuracy": 0}}, "above 0"),
        ({"strategy": "threshold"}, "limits: is missing"),
        ({"strategy": "threshold", "limits": [{"metric": METRIC}]}, "give min, max or both"),
        ({"strategy": "threshold", "limits": [{"metric": METRIC, "min": 2, "max": 1}]}, "swap them"),
        (
            {"strategy": "threshold", "limits": [{"metric": METRIC, "min": 1}, {"metric": METRIC, "max": 2}]},
            "one metric",
        ),
        ({"strategy": "threshold", "limits": [{"max": 1}]}, "exactly one of metric, live and drift"),
        ({"strategy": "threshold", "limits": [{"live": "errors"}]}, "max: is missing"),
        ({"strategy": "threshold", "limits": [{"live": "errors", "max": 0.02}]}, "is no share"),
        ({"strategy": "threshold", "limits": [{"live": "latency", "max": 0.2}]}, "is no duration"),
        ({"strategy": "threshold", "limits": [{"live": "latency", "min": "1ms", "max": "2ms"}]}, "only a metric has"),
        ({"strategy": "threshold", "limits": [{"live": "cost", "max": 1}]}, "live"),
        ({"strategy": "threshold", "limits": [{"drift": {}, "max": 1}]}, "either metric or prometheus"),
        ({"strategy": "threshold", "limits": [{"drift": {"prometheus": "x"}, "max": "1%"}]}, "is no number"),
        ({"strategy": "threshold", "limits": [{"metric": METRIC, "min": "1%"}]}, "is no number"),
        ({"strategy": "threshold", "limits": [{"metric": METRIC, "min": 1, "minRequests": 5}]}, "only live figures"),
        ({"strategy": "threshold", "limits": [{"live": "errors", "max": "1%"}], "for": "5h"}, "give 4h at most"),
        ({"strategy": "threshold", "limits": 2 * [{"live": "errors", "max": "1%"}]}, "make them one"),
        ({"strategy": "manual", "metric": METRIC}, "strategy manual takes alias; leave it out"),
        ({"strategy": "dataDriven", "minDelta": 1}, "minDelta: strategy dataDriven takes"),
        ({"strategy": "dataDriven", "floor": 0.5}, "floor and maxRegression are about it"),
        ({"strategy": "dataDriven", "metric": METRIC, "floor": float("nan")}, "floor"),
        ({"strategy": "dataDriven", "maxDelay": "0s"}, "maxDelay: 0s leaves no time"),
        ({"strategy": "dataDriven", "coolDown": "24"}, "coolDown"),
    ],
)
def test_what_is_wrong_is_named(selection, said):
    with pytest.raises(Invalid) as found:
        parse(model(selection=selection))
    assert said in "; ".join(map(str, found.value.problems))
