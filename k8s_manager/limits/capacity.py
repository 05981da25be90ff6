"""From pods, or their counts in Prometheus, to every model's limit before it is divided over gateway pods."""

from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from fractions import Fraction

from istio_templates.documents import ModelSpec
from istio_templates.documents.model import Version
from istio_templates.facts import Bucket, LimitKey, Manifest, ObjectKey
from k8s_manager.gather.world_reader import WorldReader
from k8s_manager.kube.store import Store
from k8s_manager.limits.prometheus_replicas import SampleLoop, SourceDoubt
from k8s_manager.pipeline import facts
from k8s_manager.pipeline.figures import DeclaredFigures, VersionKey
from k8s_manager.pipeline.model_plan import Limited
from k8s_manager.pipeline.plan import Plan
from k8s_manager.runtime.memo import Last
from k8s_manager.runtime.metrics import REPLICAS
from k8s_manager.runtime.settings import Settings
from k8s_manager.world.labels import version_labels
from k8s_manager.world.replica_figures import RunningFigures
from ratelimiter import overrides
from ratelimiter.capacity import VersionLoad
from ratelimiter.overrides import Override
from ratelimiter.target import Terms, Total, total

FIXED = ("Cold", "Stale", "Frozen")  # such a limit is not measured again: a ceiling would cut it ever further


@dataclass(frozen=True, slots=True)
class ModelCapacity:
    """A model's replicas and its undivided limit, under the override in force. `in_force` is its limit now,
    `without_override` the last one that no override had set, `running` the figures of replicas that are not those of
    its document."""

    limited: Limited
    fresh: bool
    ready: Mapping[str, int]
    in_force: Fraction | None
    without_override: Fraction | None
    override: Override | None
    loads: tuple[VersionLoad, ...]
    total: Total
    running: Mapping[str, RunningFigures] = field(default_factory=dict)

    @property
    def terms(self) -> Terms:
        """What the document says."""
        return self.limited.terms


class CapacityTracker:
    """Counts capacity in every reconcile pass. A model is counted only when pods of its namespace have changed, and its
    capacity is the same object unless its replicas have.

    `figures` are those of versions that differ from their documents. `disagreements` says, by identity, how Prometheus
    and the watch disagree over a model's replicas.
    """

    def __init__(self, store: Store, reader: WorldReader, settings: Settings, samples: SampleLoop) -> None:
        self._store, self._reader, self._settings, self._samples = store, reader, settings, samples
        self._in_force: dict[LimitKey, Fraction] = {}
        self._without_override: dict[LimitKey, Fraction] = {}
        self._counted: dict[LimitKey, ModelCapacity] = {}
        self._changes: dict[str, int] = {}
        self._namespaces = Last()
        self._version = samples.version
        self.figures: Mapping[VersionKey, DeclaredFigures] = {}
        self.doubts: dict[LimitKey, SourceDoubt] | None = None

    def copy(self, reader: WorldReader) -> "CapacityTracker":
        """Return a tracker that knows the same of what was in force, and goes on by itself."""
        other = CapacityTracker(self._store, reader, self._settings, self._samples)
        other._in_force, other._without_override = dict(self._in_force), dict(self._without_override)
        other._counted = dict(self._counted)
        return other

    def count(self, plan: Plan, in_force: Mapping[LimitKey, Override], fresh: bool) -> dict[LimitKey, ModelCapacity]:
        """Return every model's limit under the overrides `in_force`; `fresh` says whether the watch of pods has lately
        reported anything."""
        self._restore_in_force(plan)
        self._compare_sources(plan)
        changed, rolling = self._changed_namespaces(plan), {key[:2] for key in self.figures}
        found = {
            i: self._count(i, limited, in_force.get(i), fresh, _is_quiet(limited.terms, changed, rolling))
            for i, limited in plan.limits.items()
        }
        self._in_force = {i: value for i, value in self._in_force.items() if i in found}
        self._without_override = {i: value for i, value in self._without_override.items() if i in found}
        self._counted = found
        return found

    def note_in_force(self, identity: LimitKey, whole: Fraction, overridden: bool) -> None:
        """Note the limit that a model has now, over all gateway pods."""
        self._in_force[identity] = whole
        if not overridden:
            self._without_override[identity] = whole

    def _restore_in_force(self, plan: Plan) -> None:
        """Note the totals in force that are not known yet, from the slots: this manager has just started."""
        for (pool, _), found in self._reader.slots.limits().items():
            for identity, bucket in found if pool in plan.pools else ():
                limited = plan.limits.get(identity)
                if identity not in self._in_force and limited:
                    pods = self._pods_when_written(limited.terms, bucket) or self._pods(plan, limited.terms.pools)
                    whole = bucket.rate * max(1, pods)
                    self._in_force[identity] = whole
                    self._without_override.setdefault(identity, whole)

    def _pods_when_written(self, terms: Terms, bucket: Bucket) -> int:
        """Return over how many gateway pods a limit was divided when its slot was written, as the model's status says;
        0 where it does not say. Pods may have come and gone while no manager ran."""
        stored = self._store.get(ObjectKey("Model", terms.namespace, terms.model)) or {}
        told = stored.get("status", {}).get("limit") or {}
        limits = [told, *(told.get("versions") or ())]
        of_one: Manifest = next((found for found in limits if found.get("version", "") == terms.version), {})
        each = of_one.get("perGateway") or {}
        same = (each.get("tokens"), each.get("interval")) == (bucket.tokens, f"{bucket.interval}s")
        return int(told.get("gateways") or 0) if same else 0

    def _changed_namespaces(self, plan: Plan) -> set[str]:
        """Return the namespaces in which replicas may differ from the last call; all of them if Prometheus counts."""
        namespaces = self._namespaces.get(
            (id(plan), plan), lambda: {found.terms.namespace for found in plan.limits.values()}
        )
        before, self._changes = self._changes, {place: self._store.changes("Pod", place) for place in namespaces}
        if not self._by_watch or self._version != self._samples.version:
            self._version, before = self._samples.version, {}
        return {place for place, changes in self._changes.items() if before.get(place) != changes}

    def _pods(self, plan: Plan, pools: tuple[str, ...]) -> int:
        """Return how many pods some gateways have together."""
        found = [plan.pools[pool] for pool in pools if pool in plan.pools]
        return sum(len(self._reader.pods.gateway_pods_of(pool)) for pool in found)

    def _count(
        self, identity: LimitKey, limited: Limited, override: Override | None, fresh: bool, quiet: bool
    ) -> ModelCapacity:
        """Return a model's limit before it is divided; counted again only where it is not `quiet`."""
        before = self._counted.get(identity)
        known = before and before.limited is limited and before.override is override
        if before and known and before.fresh == fresh and quiet and not before.running:
            return before
        ready, fresh = self._replicas(limited, fresh)
        running = self._running(limited, ready)
        same = known and before is not None and before.fresh == fresh and before.running == running
        known_limits = self._in_force.get(identity), self._without_override.get(identity)
        if before and before.total.reason in FIXED:
            known_limits = before.in_force, before.without_override
        if before and same and (before.ready, before.in_force, before.without_override) == (ready, *known_limits):
            return before
        in_force, without_override = known_limits
        if not limited.terms.version:
            REPLICAS.labels(limited.terms.namespace, limited.terms.model).set(sum(ready.values()))
        loads = overrides.loads_under(override, facts.loads(limited.spec, ready, limited.terms.version, running))
        of_model = overrides.total_under(
            override, limited.terms, total(limited.terms, loads, fresh, without_override), in_force
        )
        return ModelCapacity(limited, fresh, ready, in_force, without_override, override, loads, of_model, running)

    def _running(self, limited: Limited, ready: Mapping[str, int]) -> dict[str, RunningFigures]:
        """Return the figures of a model's replicas where they are not those of its document, by version."""
        place = (limited.terms.namespace, limited.terms.model)
        out = {}
        for version in limited.spec.versions if self.figures else ():
            if found := self.figures.get((*place, version.name)):
                out[version.name] = self._of_version(place, version, limited.spec, found, ready.get(version.name, 0))
        return out

    def _of_version(
        self, place: tuple[str, str], version: Version, spec: ModelSpec, declared: DeclaredFigures, ready: int
    ) -> RunningFigures:
        """Return how many ready replicas have which older figure; Prometheus may count fewer than the watch."""
        counts = self._reader.pods.ready_by_template(place[0], version_labels(place[1], version), spec)
        older = []
        for template, figure in sorted(declared.older.items()):
            count = min(counts[template], ready)
            ready -= count
            older += [(count, figure)] if count else []
        return RunningFigures(declared.each, tuple(older))

    def _compare_sources(self, plan: Plan) -> None:
        """Find the models over whose replicas Prometheus and the watch disagree, or may."""
        if self._settings.replica_source != "both":
            return
        doubts = {}
        for identity, limited in plan.limits.items():
            if limited.terms.version:
                continue
            place = (limited.terms.namespace, limited.terms.model, limited.spec)
            if found := self._samples.doubt(*place, self._reader.pods.ready(*place)):
                doubts[identity] = found
        self.doubts = doubts

    @property
    def _by_watch(self) -> bool:
        return self._settings.replica_source != "prometheus"

    def _replicas(self, limited: Limited, fresh: bool) -> tuple[dict[str, int], bool]:
        """Return the replicas of each version, and whether they can be trusted. Prometheus knows Deployments: pods of
        another owner are always counted by watch."""
        terms = limited.terms
        ready = self._reader.pods.ready(terms.namespace, terms.model, limited.spec)
        if self._by_watch:
            return ready, fresh
        counts = self._samples.counts(terms.namespace, terms.model, limited.spec)
        young = all(self._samples.fresh(found) for found in counts.values())
        counted = {name: found.count if found else 0 for name, found in counts.items()}
        return {**ready, **counted}, young and (fresh or len(counts) == len(ready))


def _is_quiet(terms: Terms, changed: Set[str], rolling: Set[tuple[str, str]]) -> bool:
    """Tell whether neither pods of a model's namespace have `changed` nor its own run with several figures."""
    return terms.namespace not in changed and terms.place not in rolling
