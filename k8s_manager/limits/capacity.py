"""From pods, or what Prometheus tells of them, to every model's limit before it is divided over gateway pods."""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

from k8s_manager.gather.world_reader import WorldReader
from k8s_manager.kube.store import Store
from k8s_manager.limits.prometheus_replicas import SampleLoop
from k8s_manager.pipeline import facts
from k8s_manager.pipeline.model_plan import Limited
from k8s_manager.pipeline.plan import Plan
from k8s_manager.runtime.memo import Last
from k8s_manager.runtime.metrics import REPLICAS
from k8s_manager.runtime.settings import Settings
from ratelimiter import overrides
from ratelimiter.capacity import VersionLoad
from ratelimiter.overrides import Override
from ratelimiter.target import Terms, Total, total

HOLDING = ("Cold", "Stale", "Frozen")  # what is held then is not measured again: a ceiling would cut it ever further


@dataclass(frozen=True, slots=True)
class ModelCapacity:
    """A model's replicas and its undivided limit, under the override that holds. `held` is what is in force, `earned`
    what was in force last without an override."""

    limited: Limited
    fresh: bool
    ready: Mapping[str, int]
    held: Fraction | None
    earned: Fraction | None
    override: Override | None
    loads: tuple[VersionLoad, ...]
    total: Total

    @property
    def terms(self) -> Terms:
        """What the document says."""
        return self.limited.terms


class CapacityTracker:
    """Counts pass after pass; a model is counted anew only when pods of its namespace have changed, and what comes of
    it is the same object unless its replicas have.

    `disagreeing` says, by identity, how Prometheus and the watch disagree over a model's replicas.
    """

    def __init__(self, store: Store, gatherer: WorldReader, settings: Settings, samples: SampleLoop) -> None:
        self._store, self._gatherer, self._settings, self._samples = store, gatherer, settings, samples
        self._in_force: dict[str, Fraction] = {}
        self._earned: dict[str, Fraction] = {}
        self._counted: dict[str, ModelCapacity] = {}
        self._changes: dict[str, int] = {}
        self._places = Last()
        self._version = samples.version
        self.disagreeing: dict[str, str] = {}

    def count(self, plan: Plan, holding: Mapping[str, Override], fresh: bool) -> dict[str, ModelCapacity]:
        """Return every model's limit; `fresh` says whether the pods have been heard of lately."""
        self._remember(plan)
        self._compare(plan)
        stirred = self._stirred(plan)
        found = {
            i: self._count(i, limited, holding.get(i), fresh, limited.terms.namespace not in stirred)
            for i, limited in plan.limits.items()
        }
        self._in_force = {i: value for i, value in self._in_force.items() if i in found}
        self._earned = {i: value for i, value in self._earned.items() if i in found}
        self._counted = found
        return found

    def is_in_force(self, identity: str, whole: Fraction, overridden: bool) -> None:
        """Note the limit that a model has now, over all gateway pods."""
        self._in_force[identity] = whole
        if not overridden:
            self._earned[identity] = whole

    def _remember(self, plan: Plan) -> None:
        """Note the totals that are in force where nothing is known of them: this manager has just started."""
        for (pool, _), found in self._gatherer.slots.limits().items():
            for identity, bucket in found if pool in plan.pools else ():
                limited = plan.limits.get(identity)
                if identity not in self._in_force and limited:
                    whole = bucket.rate * max(1, self._pods(plan, limited.terms.pools))
                    self._in_force[identity] = whole
                    self._earned.setdefault(identity, whole)

    def _stirred(self, plan: Plan) -> set[str]:
        """Return the namespaces in which replicas may be others than at the last call; all of them by Prometheus."""
        places = self._places.get((id(plan), plan), lambda: {found.terms.namespace for found in plan.limits.values()})
        before, self._changes = self._changes, {place: self._store.changes("Pod", place) for place in places}
        if not self._by_watch or self._version != self._samples.version:
            self._version, before = self._samples.version, {}
        return {place for place, changes in self._changes.items() if before.get(place) != changes}

    def _pods(self, plan: Plan, pools: tuple[str, ...]) -> int:
        """Return how many pods some gateways have together."""
        found = [plan.pools[pool] for pool in pools if pool in plan.pools]
        return sum(len(self._gatherer.pods.gateway_pods_of(pool)) for pool in found)

    def _count(
        self, identity: str, limited: Limited, override: Override | None, fresh: bool, quiet: bool
    ) -> ModelCapacity:
        """Return a model's limit before it is divided; not counted anew where its namespace is `quiet`."""
        before = self._counted.get(identity)
        known = before and before.limited is limited and before.override is override
        if before and known and before.fresh == fresh and quiet:
            return before
        ready, fresh = self._replicas(limited, fresh)
        same = known and before is not None and before.fresh == fresh
        held, earned = self._in_force.get(identity), self._earned.get(identity)
        if before and before.total.reason in HOLDING:
            held, earned = before.held, before.earned
        if before and same and (before.ready, before.held, before.earned) == (ready, held, earned):
            return before
        if not limited.terms.version:
            REPLICAS.labels(limited.terms.namespace, limited.terms.model).set(sum(ready.values()))
        loads = overrides.loads_under(override, facts.loads(limited.spec, ready, limited.terms.version))
        of_model = overrides.total_under(override, limited.terms, total(limited.terms, loads, fresh, earned), held)
        return ModelCapacity(limited, fresh, ready, held, earned, override, loads, of_model)

    def _compare(self, plan: Plan) -> None:
        """Find the models over whose replicas Prometheus and the watch have disagreed for a while."""
        if self._settings.replica_source != "both":
            return
        self.disagreeing = {}
        for identity, limited in plan.limits.items():
            if limited.terms.version:
                continue
            place = (limited.terms.namespace, limited.terms.model, limited.spec)
            if said := self._samples.disagreement(*place, self._gatherer.pods.ready(*place)):
                self.disagreeing[identity] = said

    @property
    def _by_watch(self) -> bool:
        return self._settings.replica_source != "prometheus"

    def _replicas(self, limited: Limited, fresh: bool) -> tuple[dict[str, int], bool]:
        """Return the replicas of each version, and whether they can be trusted. Prometheus knows Deployments: pods that
        somebody else runs are always counted by watch."""
        terms = limited.terms
        ready = self._gatherer.pods.ready(terms.namespace, terms.model, limited.spec)
        if self._by_watch:
            return ready, fresh
        told = self._samples.counts(terms.namespace, terms.model, limited.spec)
        young = all(self._samples.fresh(found) for found in told.values())
        counted = {name: found.count if found else 0 for name, found in told.items()}
        return {**ready, **counted}, young and (fresh or len(told) == len(ready))
