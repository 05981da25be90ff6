"""From a model's undivided limit to the target of each gateway pod, with its stage. Kept while nothing differs."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from istio_templates import names
from istio_templates.facts import LimitKey
from k8s_manager.gather.world_reader import WorldReader
from k8s_manager.limits.capacity import ModelCapacity
from k8s_manager.limits.stages import StagedLimits, live_bucket
from ratelimiter import overrides, pins
from ratelimiter.controller import LimitState, LimitTarget
from ratelimiter.overrides import Override
from ratelimiter.target import Terms, Total, target


class TargetCalculator:
    """Calculates pass after pass; a target whose inputs are the same is the same object."""

    def __init__(self, reader: WorldReader) -> None:
        self._reader = reader
        self._applied: dict[LimitKey, Override] = {}
        self._targets: dict[LimitKey, tuple[tuple[Any, ...], LimitTarget]] = {}

    def targets(
        self,
        counted: Mapping[LimitKey, ModelCapacity],
        totals: Mapping[LimitKey, Total],
        gateways: Mapping[str, int],
        staged: StagedLimits,
        state: LimitState,
    ) -> dict[LimitKey, LimitTarget]:
        """Return the target of every limit, and the counters of the pinned ones; `gateways` are pods by gateway,
        `state` is what was written."""
        partial = {i for (_, i), limit in state.limits.items() if limit.written and limit.written.enforced != 100}
        in_force = self._reader.slots.limited()
        pods = {
            pools: sum(gateways.get(pool, 0) for pool in pools) for pools in {c.terms.pools for c in counted.values()}
        }
        out = {}
        for i, found in counted.items():
            terms = found.terms
            staging = staged if staged.stages and i.whole in staged.stages else None
            may_hurry = found.override is not None or staging is not None or i in partial
            written = (terms.pools[0], i) in in_force
            out[i] = self._target(found, totals[i], pods[terms.pools], staging, state if may_hurry else None, written)
        out |= {key: self._counter(key, counted, staged) for _, key in staged.placed if key.part == names.REQUESTS}
        self._targets = {i: self._targets[i] for i in out}
        return out

    def note_applied(
        self, in_force: Mapping[LimitKey, Override], targets: Mapping[LimitKey, LimitTarget], state: LimitState
    ) -> None:
        """Note the overrides whose limits are written: from then on changes under them wait for the debounce."""
        self._applied = {
            identity: override
            for identity, override in in_force.items()
            if identity in targets
            and (self._applied.get(identity) == override or _is_written(targets[identity], state))
        }

    def _is_urgent(self, override: Override | None, terms: Terms, enforced: int, state: LimitState) -> bool:
        """Tell whether a limit waits for no debounce: an override has not been applied yet, or the limit is enforced
        for another share than it should be."""
        if override is not None and self._applied.get(terms.identity) != override:
            return True
        found = [state.limits.get((pool, terms.identity)) for pool in terms.pools]
        return any(limit and limit.written and limit.written.enforced != enforced for limit in found)

    def _target(
        self,
        counted: ModelCapacity,
        of_model: Total,
        pods: int,
        staging: StagedLimits | None,
        state: LimitState | None,
        written: bool,
    ) -> LimitTarget:
        terms, enforced = counted.terms, 100
        if staging is not None:
            stage = staging.stages[terms.identity.whole]
            enforced = stage.enforced
            if stage.pinned:
                terms = replace(terms, pools=staging.pools(terms) or terms.pools)
        if state is not None and self._is_urgent(counted.override, terms, enforced, state):
            terms = overrides.at_once(terms)
        inputs = (of_model, pods, written, counted.loads, terms, enforced)
        before = self._targets.get(terms.identity)
        if before is None or before[0] != inputs:
            found = target(terms, of_model, counted.loads, pods, written, enforced)
            live = live_bucket(terms, self._reader.slots.limits()) if found.bucket is None else None
            if live and live.enforced != enforced:
                found = replace(found, bucket=replace(live, enforced=enforced))
            before = self._targets[terms.identity] = (inputs, LimitTarget(terms, found))
        return before[1]

    def _counter(self, key: LimitKey, counted: Mapping[LimitKey, ModelCapacity], staged: StagedLimits) -> LimitTarget:
        """Return the limit that limits nothing and counts the requests of a pinned model, where it is pinned."""
        terms = counted[key.whole].terms
        terms = replace(terms, pools=staged.pools(terms))
        before = self._targets.get(key)
        if before is None or before[0] != (terms,):
            before = self._targets[key] = ((terms,), pins.counting(terms))
        return before[1]


def _is_written(target: LimitTarget, state: LimitState) -> bool:
    found = [state.limits.get((pool, target.terms.identity)) for pool in target.terms.pools]
    return all(limit is not None and limit.written == target.target.bucket for limit in found)
