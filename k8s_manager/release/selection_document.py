"""What documents say of a selection, as the strategies take it: the rules, the versions, the one that serves. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from istio_templates.documents import ModelSpec, ModelVersionSpec, parse
from istio_templates.documents.fields import seconds, span
from istio_templates.documents.override import moment
from istio_templates.documents.versions.model_version import PinnedVersion, version_of
from istio_templates.documents.versions.selection import VersionSelection
from istio_templates.documents.versions.selection_limit import SelectionLimit, SelectionMetric
from istio_templates.facts import Manifest, ObjectKey
from k8s_manager.release.decision.state import ReleaseState
from k8s_manager.release.live.model_figures import NO_FIGURES, ModelFigures
from k8s_manager.release.selection.selection_rules import (
    AccuracyDriven,
    DataDriven,
    Direction,
    Manual,
    Measure,
    Metric,
    PeriodicBest,
    ScoreWeights,
    SelectionRules,
    Strategy,
    Threshold,
    ThresholdFallback,
    VersionLimits,
)
from k8s_manager.release.selection.version_facts import (
    Evaluation,
    LiveSample,
    ModelVersionFact,
    ServedVersion,
    VersionPin,
)
from k8s_manager.release.status_record import state_of
from k8s_manager.world.world import Stored

Registered = Mapping[tuple[str, str], tuple[ModelVersionFact, ...]]
"""The registered versions of each model, by its namespace and name."""


def selection_rules(selection: VersionSelection, approvers: int = 0) -> SelectionRules:
    """Return the rules of `spec.selection`, in a tenant whose pins need so many approvals."""
    pin_ttl = span(selection.pin_ttl) if selection.pin_ttl else None
    return SelectionRules(
        _strategy(selection), span(selection.cool_down), span(selection.max_delay), approvers, pin_ttl
    )


class VersionReader:
    """Reads the registered versions of all models; a document that has not changed is not read again."""

    def __init__(self) -> None:
        self._read: dict[ObjectKey, tuple[object, ModelVersionFact]] = {}

    def read(self, found: Iterable[Stored[ModelVersionSpec]]) -> Registered:
        """Return the versions by their models."""
        before, self._read = self._read, {}
        out: dict[tuple[str, str], list[ModelVersionFact]] = {}
        for stored, spec, name in _named(found):
            known = before.get(stored.key)
            is_same = known is not None and known[0] is stored.document
            fact = known[1] if known and is_same else _fact(name, stored.created, spec)
            self._read[stored.key] = stored.document, fact
            out.setdefault((stored.key.namespace, spec.model), []).append(fact)
        return {place: tuple(versions) for place, versions in out.items()}


def registered_versions(found: Iterable[Stored[ModelVersionSpec]]) -> Registered:
    """Return the versions by their models."""
    return VersionReader().read(found)


def _named(
    found: Iterable[Stored[ModelVersionSpec]],
) -> Iterator[tuple[Stored[ModelVersionSpec], ModelVersionSpec, str]]:
    """Yield documents that can be read, each with its version; those whose names say none are left out: they are
    rejected."""
    for stored in found:
        spec = stored.spec
        if spec is not None and not stored.deleting and (name := version_of(stored.key.name, spec.model)) is not None:
            yield stored, spec, name


def version_facts(documents: Iterable[Manifest], model: str) -> tuple[ModelVersionFact, ...]:
    """Return the versions of a model from ModelVersions as the REST API gives them; raises `Invalid`."""
    found = []
    for raw in documents:
        spec, name = parse(raw).spec, version_of(raw["metadata"]["name"], model)
        if isinstance(spec, ModelVersionSpec) and spec.model == model and name is not None:
            found.append(_fact(name, raw["metadata"].get("creationTimestamp", ""), spec))
    return tuple(found)


def served_version(
    spec: ModelSpec, rollout: Any, versions: Iterable[ModelVersionFact], figures: ModelFigures = NO_FIGURES
) -> ServedVersion:
    """Return what serves a model; `rollout` is `status.rollout`. Live values of a metric are the evaluations of the
    version that serves, all others `figures`."""
    state = state_of(rollout) if spec.rollout is not None and isinstance(rollout, dict) else None
    name = state.stable if state else spec.target
    since = datetime.fromtimestamp(state.since, UTC) if state and state.since and not state.is_under_way else None
    fact = next((version for version in versions if version.name == name), None)
    live = {**_posted(fact, spec.selection), **figures.of(name or "")}
    previous = state.previous if state and state.previous else None
    return ServedVersion(name, since, previous, bool(state and state.is_under_way), live, dict(figures.flaws))


def with_failed_releases(
    versions: Iterable[ModelVersionFact], state: ReleaseState | None
) -> tuple[ModelVersionFact, ...]:
    """Return the versions, blocked also where their release has failed."""
    failed = {one.version: f"its release failed: {one.reason}" for one in state.blocked} if state else {}
    return tuple(_blocked(version, failed.get(version.name)) for version in versions)


def _blocked(version: ModelVersionFact, why: str | None) -> ModelVersionFact:
    if why is None or version.blocked is not None:
        return version
    names = (name for name in ModelVersionFact.__slots__ if name != "blocked")
    return ModelVersionFact(**{name: getattr(version, name) for name in names}, blocked=why)


def _strategy(selection: VersionSelection) -> Strategy:
    metric = _metric(selection.metric) if selection.metric else None
    delta = selection.min_delta or 0.0
    match selection.strategy:
        case "dataDriven":
            freshness = span(selection.min_freshness or "0s")
            return DataDriven(freshness, metric, selection.floor, selection.max_regression)
        case "accuracyDriven":
            assert metric is not None
            return AccuracyDriven(metric, delta)
        case "periodicBest":
            assert metric is not None and selection.cron is not None
            weights = selection.weights.model_dump() if selection.weights else {}
            lookback = span(selection.lookback or "720h")
            zone = selection.time_zone or "UTC"
            return PeriodicBest(metric, selection.cron, zone, lookback, ScoreWeights(**weights), delta)
        case "threshold":
            limits = tuple(map(_limit, selection.limits))
            fallback = ThresholdFallback(selection.fallback or "keep")
            return Threshold(limits, span(selection.lasting or "10m"), fallback)
        case "manual":
            return Manual(selection.alias)


def _metric(metric: SelectionMetric) -> Metric:
    return Metric(metric.name, metric.dataset, Direction(metric.direction), metric.min_samples)


def _limit(limit: SelectionLimit) -> VersionLimits:
    least, most = limit.bounds
    if limit.metric is not None:
        metric = _metric(limit.metric)
        return VersionLimits(str(metric), Measure.METRIC, least, most, metric)
    measure = Measure(limit.live) if limit.live else Measure.DRIFT
    return VersionLimits(str(measure), measure, least, most)


def _fact(name: str, created: str, spec: ModelVersionSpec) -> ModelVersionFact:
    return ModelVersionFact(
        name=name,
        created=moment(created) if created else datetime.min.replace(tzinfo=UTC),
        data_until=moment(spec.data_until) if spec.data_until else None,
        uri=spec.uri or "",
        digest=spec.digest or "",
        image=spec.image or "",
        evaluations=tuple(
            Evaluation(one.dataset, one.metric, one.value, one.samples, moment(one.at)) for one in spec.evaluations
        ),
        cost=spec.cost,
        latency=float(seconds(spec.latency)) if spec.latency else None,
        errors=spec.errors,
        blocked=spec.blocked.reason if spec.blocked else None,
        pinned=_pin(spec.pinned) if spec.pinned else None,
        aliases=frozenset(spec.aliases),
    )


def _pin(pinned: PinnedVersion) -> VersionPin:
    return VersionPin(
        pinned.by, moment(pinned.at), pinned.approvals, ends=moment(pinned.until) if pinned.until else None
    )


def _posted(fact: ModelVersionFact | None, selection: VersionSelection | None) -> dict[str, list[LiveSample]]:
    """Return what evaluations of the served version say, by the names of limits."""
    live: dict[str, list[LiveSample]] = {}
    for one in fact.evaluations if fact else ():
        live.setdefault(f"{one.metric} on {one.dataset}", []).append(LiveSample(one.at, one.value))
    drifts = (limit.drift for limit in (selection.limits if selection else ()) if limit.drift)
    for metric in (drift.metric for drift in drifts if drift.metric):
        live[Measure.DRIFT] = [
            LiveSample(one.at, one.value)
            for one in (fact.evaluations if fact else ())
            if (one.metric, one.dataset) == (metric.name, metric.dataset) and one.samples >= metric.min_samples
        ]
    return live
