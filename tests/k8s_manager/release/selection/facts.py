"""Versions for tests: each with one value of accuracy, and data that is as many days old as its name says."""

from datetime import UTC, datetime, timedelta

from k8s_manager.release.selection.selection_decision import NoChangeReason, NoSelection, SelectionDecision
from k8s_manager.release.selection.selection_rules import Metric
from k8s_manager.release.selection.version_facts import Evaluation, ModelVersionFact

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
DAY, HOUR = timedelta(days=1), timedelta(hours=1)
AUC = Metric("auc", "holdout", min_samples=100)


def evaluated(value: float, samples: int = 1000, at: datetime = NOW - DAY, dataset: str = "holdout") -> Evaluation:
    """Return an evaluation of `AUC`."""
    return Evaluation(dataset, "auc", value, samples, at)


def version(name: str, value: float | None = None, data: float | None = None, **more) -> ModelVersionFact:
    """Return a version with a value of `AUC` and data that is so many days old; None: without."""
    until = None if data is None else NOW - data * DAY
    evaluations = more.pop("evaluations", () if value is None else (evaluated(value),))
    return ModelVersionFact(name, NOW - 30 * DAY, until, evaluations=evaluations, **more)


def said(found: SelectionDecision | NoSelection) -> tuple[str | NoChangeReason, dict[str, str]]:
    """Return what was chosen or why nothing, and why other versions were not eligible."""
    rejected = {one.name: one.why for one in found.rejected}
    return (found.to if isinstance(found, SelectionDecision) else found.reason), rejected
