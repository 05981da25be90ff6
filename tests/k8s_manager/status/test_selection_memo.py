"""Selections are evaluated again when something has changed, and now and then."""

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from istio_templates.documents import parse
from istio_templates.facts import ObjectKey
from k8s_manager.release.live.model_figures import NO_FIGURES, ModelFigures
from k8s_manager.release.selection.version_facts import Evaluation, ModelVersionFact
from k8s_manager.status.versions.selection_memo import SelectionMemo
from k8s_manager.world.world import Stored
from tests.support.documents import model

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
LOOKS = Counter[str]()


class CountedFact(ModelVersionFact):
    """A version that counts how often its evaluations are looked at."""

    def evaluation(self, dataset, metric, now, since=None):
        LOOKS[self.name] += 1
        return super().evaluation(dataset, metric, now, since)


def fact(name: str, value: float) -> CountedFact:
    return CountedFact(name, NOW, evaluations=(Evaluation("holdout", "auc", value, 1000, NOW - timedelta(days=1)),))


def test_what_has_not_changed_is_evaluated_now_and_then():
    document = parse(model(selection={"strategy": "accuracyDriven", "metric": {"name": "auc", "dataset": "holdout"}}))
    stored = Stored(ObjectKey("Model", "search", "ranker"), "u", 1, "", False, True, document, ())
    memo, versions = SelectionMemo(), (fact("v1", 0.8), fact("v2", 0.9))

    def looks(stored=stored, versions=versions, figures=NO_FIGURES, approvers=0, now=NOW):
        before = sum(LOOKS.values())
        found = memo.selection(stored, document.spec, document.spec.selection, versions, figures, approvers, now)
        memo.end_round()
        assert found["to"] == "v2"
        return sum(LOOKS.values()) > before

    assert looks() and not looks() and not looks(now=NOW + timedelta(seconds=20))
    assert looks(now=NOW + timedelta(seconds=40)) and looks()
    assert looks(versions=(*versions, fact("v3", 0.1))) and looks()
    assert looks(approvers=1) and looks()
    assert looks(figures=ModelFigures(flaws={"errors": "away"})) and looks()
    assert looks(stored=replace(stored, status={"selection": {"to": "v1"}}))
    assert looks() and not looks(stored=replace(stored, status={"conditions": []}))
