"""Figures of replicas: a `perReplicaQps` holds for the pods for whose template it was declared.

A document may change a version's pod template and its figure together. Until the new pods run, the old ones serve, and
they serve what they did: their figure is remembered by their pod template, in an annotation of the Deployment, and is
forgotten with the last of them. A figure that is changed alone holds for all pods at once. While no rollout goes on
nothing is remembered: what the figure was before stands in the model's status.
"""

import hashlib
import operator
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Protocol

import orjson

from istio_templates import names
from istio_templates.documents import ModelSpec
from istio_templates.documents.fields import exact
from istio_templates.documents.model import Version
from istio_templates.facts import Manifest, ObjectKey, Pairs
from k8s_manager.drift.compare import is_in_line
from k8s_manager.drift.digest import stamped
from k8s_manager.drift.pod_defaults import pod_forms, with_pod_defaults
from k8s_manager.pipeline.facts import figure
from k8s_manager.pipeline.plan import Plan
from k8s_manager.pipeline.render import Desired
from k8s_manager.world.labels import version_labels
from k8s_manager.world.rollout import Rollout
from k8s_manager.world.world import World

VersionKey = tuple[str, str, str]  # namespace, model and version
_UNKNOWN = ""
ROUNDED = Fraction(1, 1_000_000)
"""How far a figure in a status may be from the one in the document."""


class TemplateReader(Protocol):
    """The pods, as far as figures need them."""

    def templates(self, namespace: str, labels: Pairs) -> frozenset[str]:
        """Return from which pod templates the pods with some labels were made."""


@dataclass(frozen=True, slots=True)
class DeclaredFigures:
    """The figures of a version's replicas: `each` of all of them where the document does not say it any more, and
    `older` of those that were made from an earlier pod template, by its hash."""

    each: Fraction | None = None
    older: Mapping[str, Fraction] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Figures:
    """The figures of versions that differ from their documents, and the `records` of them: the text of the annotation
    of each Deployment where that has to change (None: none)."""

    of: Mapping[VersionKey, DeclaredFigures] = field(default_factory=dict)
    records: Mapping[ObjectKey, str | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Remembered:
    """A version as last observed: its figure, the digest of its pod template, and figures of pods of earlier
    templates, each with that template's digest."""

    figure: Fraction
    template: str
    older: Mapping[str, tuple[Fraction, str]] = field(default_factory=dict)


TemplateDigests = Mapping[ObjectKey, tuple[Manifest, str]]
"""Rendered Deployments, each with the digest of its pod template."""


class FigureTracker:
    """Follows the figures pass after pass. A new leader goes on from annotations and statuses."""

    def __init__(self, pods: TemplateReader) -> None:
        self._pods = pods
        self._remembered: dict[VersionKey, _Remembered] = {}
        self._digests: dict[ObjectKey, tuple[Manifest, str]] = {}
        self._inputs: tuple[object, ...] = (None, None, None)
        self._last = Figures()

    def follow(self, plan: Plan, desired: Desired, world: World, owned: Mapping[ObjectKey, Manifest]) -> Figures:
        """Return the figures under a plan, and remember it."""
        inputs = (plan, desired, world.rollouts)
        if not self._last.of and not self._last.records and all(map(operator.is_, inputs, self._inputs)):
            return self._last
        self._inputs, self._last = inputs, self._followed(plan, desired, world, owned)
        return self._last

    def _followed(self, plan: Plan, desired: Desired, world: World, owned: Mapping[ObjectKey, Manifest]) -> Figures:
        found = dict(self._seen(plan, desired, world, owned))
        known = {(stored.key.namespace, stored.key.name) for stored in world.models}
        frozen = {key: kept for key, kept in self._remembered.items() if key[:2] in plan.frozen_models & known}
        self._remembered = {**frozen, **found}
        return self._figures(world, plan)

    def foresee(
        self,
        plan: Plan,
        desired: Desired,
        world: World,
        owned: Mapping[ObjectKey, Manifest],
        digests: TemplateDigests | None = None,
    ) -> Figures:
        """Return what the figures would be under another plan, whose pod templates may have been digested already;
        nothing is remembered."""
        other = FigureTracker(self._pods)
        other._remembered, other._digests = dict(self._remembered), {**self._digests, **(digests or {})}
        return other.follow(plan, desired, world, owned)

    def read(self, plan: Plan, desired: Desired, world: World, owned: Mapping[ObjectKey, Manifest]) -> Figures:
        """Return the figures as annotations say, for a manager that does not lead: it comes too late to notice which
        pods were there before a change."""
        self._remembered, self._last = {}, Figures()
        return Figures(self._followed(plan, desired, world, owned).of)

    def _seen(
        self, plan: Plan, desired: Desired, world: World, owned: Mapping[ObjectKey, Manifest]
    ) -> Iterator[tuple[VersionKey, _Remembered]]:
        stored = {(one.key.namespace, one.key.name): one for one in world.models}
        for limited in plan.limits.values():
            if limited.terms.version:
                continue
            key = (limited.terms.namespace, limited.terms.model)
            for version in limited.spec.versions:
                name = names.deployment(key[1], version.name)
                rollout = world.rollouts.get((key[0], name))
                if rollout is None:
                    continue
                place = (*key, version.name)
                status = stored[key].status if key in stored else {}
                yield place, self._one(place, limited.spec, version, rollout, status, desired, owned)

    def _one(
        self,
        place: VersionKey,
        spec: ModelSpec,
        version: Version,
        rollout: Rollout,
        status: Manifest,
        desired: Desired,
        owned: Mapping[ObjectKey, Manifest],
    ) -> _Remembered:
        key = ObjectKey("Deployment", place[0], rollout.name)
        wanted, now = desired.objects.get(key), figure(spec, version)
        before = self._remembered.get(place)
        if before is None:
            before = self._first(key, wanted, now, _figure_in_status(status, version.name), rollout, owned.get(key))
        if wanted is None:  # it serves on though its document does not have it any more
            return before
        template = self._digest(key, wanted)
        if (before.figure, before.template) == (now, template) and not before.older:
            return before
        alive = self._pods.templates(place[0], version_labels(place[1], version))
        return _next(before, now, template, alive)

    def _first(
        self,
        key: ObjectKey,
        wanted: Manifest | None,
        now: Fraction,
        told: Fraction | None,
        rollout: Rollout,
        live: Manifest | None,
    ) -> _Remembered:
        """Return the starting point: the figure in the status, which is rounded, and the annotation."""
        older = _read(rollout.figures)
        before = now if told is None or abs(told - now) <= ROUNDED else told
        same = (before == now and not older) or (wanted and live and _is_written(wanted, rollout, live))
        return _Remembered(before, self._digest(key, wanted) if wanted and same else _UNKNOWN, older)

    def _digest(self, key: ObjectKey, wanted: Manifest) -> str:
        found = self._digests.get(key)
        if found is None or found[0] is not wanted:
            found = self._digests[key] = (wanted, _template_digest(wanted))
        return found[1]

    def _figures(self, world: World, plan: Plan) -> Figures:
        of, records = dict[VersionKey, DeclaredFigures](), dict[ObjectKey, str | None]()
        departed = {(*key, version) for key, versions in world.departed.items() for version in versions}
        for place, known in self._remembered.items():
            rollout = world.rollouts.get((place[0], names.deployment(place[1], place[2])))
            each = known.figure if place in departed else None
            if each is not None or known.older:
                of[place] = DeclaredFigures(each, {template: each for template, (each, _) in known.older.items()})
            if rollout and known.older != _read(rollout.figures) and place[:2] not in plan.frozen_models:
                records[ObjectKey("Deployment", place[0], rollout.name)] = _text(known.older)
        return Figures(of, records)


def _next(before: _Remembered, now: Fraction, template: str, alive: frozenset[str]) -> _Remembered:
    """Return what to remember of a version whose document says `now` and whose pods are to have `template`.

    A new template leaves the pods that are `alive` with their figure; one that is back has no older pods any more. A
    figure that falls alone falls for all, and what has fallen does not rise again.
    """
    older = dict(before.older)
    if before.template != template:
        if before.figure != now:
            older |= {pods: (before.figure, before.template) for pods in alive if pods not in older}
        older = {pods: known for pods, known in older.items() if known[1] != template}
    elif now < before.figure:
        older = {pods: (min(each, now), known) for pods, (each, known) in older.items()}
    kept = {pods: known for pods, known in older.items() if pods in alive}
    return _Remembered(now, template, kept)


def _is_written(wanted: Manifest, rollout: Rollout, live: Manifest) -> bool:
    """Tell whether a live Deployment has the desired pod template, as far as its digest says: others may set the
    number of replicas."""
    if not rollout.digest:
        return is_in_line(wanted, live)
    forms = (form for one in pod_forms(wanted) for form in _numbered(one, rollout.wanted))
    return any(stamped(form)["metadata"]["annotations"][names.DIGEST] == rollout.digest for form in forms)


def _numbered(wanted: Manifest, replicas: int | None) -> Iterator[Manifest]:
    """Yield a Deployment with its own number of replicas, with another one, and without."""
    spec = {name: value for name, value in wanted["spec"].items() if name != "replicas"}
    yield from (wanted, {**wanted, "spec": {**spec, "replicas": replicas}}, {**wanted, "spec": spec})


def template_digests(desired: Desired) -> dict[ObjectKey, tuple[Manifest, str]]:
    """Return the digest of each pod template that is rendered: of a large fleet they take long."""
    return {key: (obj, _template_digest(obj)) for key, obj in desired.objects.items() if key.kind == "Deployment"}


def _template_digest(wanted: Manifest) -> str:
    return _digest_of(with_pod_defaults(wanted, None)["spec"]["template"])


def _digest_of(template: Manifest) -> str:
    return hashlib.sha256(orjson.dumps(template, option=orjson.OPT_SORT_KEYS)).hexdigest()[:16]


def _figure_in_status(status: Manifest, version: str) -> Fraction | None:
    """Return the figure that held when the status was written; None where it says none, or an override's."""
    limit = status.get("limit") or {}
    try:
        told = {found["version"]: exact(found["perReplicaQps"]) for found in limit.get("inputs") or ()}
    except (KeyError, TypeError, ValueError, AttributeError):
        return None
    return None if limit.get("override") else told.get(version)


def _read(text: str) -> dict[str, tuple[Fraction, str]]:
    """Return the figures in an annotation; none where it cannot be read, since other clients may write there."""
    try:
        found = orjson.loads(text or "{}")
        return {str(pods): (Fraction(str(each)), str(template)) for pods, (each, template) in found.items()}
    except (ValueError, TypeError, AttributeError, ZeroDivisionError):
        return {}


def _text(older: Mapping[str, tuple[Fraction, str]]) -> str | None:
    if not older:
        return None
    return orjson.dumps({pods: [str(each), known] for pods, (each, known) in sorted(older.items())}).decode()
