"""From a model's undivided limit to what each gateway pod should have, with its stage. Kept while nothing differs."""

from collections.abc import Callable, Container, Mapping
from dataclasses import replace
from typing import Any

from istio_templates import names
from k8s_manager.gather.world_reader import WorldReader
from k8s_manager.limits.capacity import ModelCapacity
from k8s_manager.limits.stages import StagedLimits, live_bucket
from ratelimiter import overrides, pins
from ratelimiter.controller import LimitTarget
from ratelimiter.overrides import Override
from ratelimiter.target import Terms, Total, target

Urgent = Callable[[Override | None, Terms, int], bool]


class TargetCalculator:
    """Wants pass after pass; a limit whose inputs are the same is the same object."""

    def __init__(self, gatherer: WorldReader) -> None:
        self._gatherer = gatherer
        self._wanted: dict[str, tuple[tuple[Any, ...], LimitTarget]] = {}

    def every(
        self,
        counted: Mapping[str, ModelCapacity],
        totals: Mapping[str, Total],
        gateways: Mapping[str, int],
        staged: StagedLimits,
        urgent: Urgent,
        partly: Container[str],
    ) -> dict[str, LimitTarget]:
        """Return what is wanted of every limit, and the counters of the pinned ones; `gateways` are pods by gateway,
        `partly` the limits that are not enforced for all requests now."""
        in_force = self._gatherer.slots.limited()
        pods = {
            pools: sum(gateways.get(pool, 0) for pool in pools) for pools in {c.terms.pools for c in counted.values()}
        }
        out = {}
        for i, found in counted.items():
            terms = found.terms
            staging = staged if staged.stages and names.identity_in(i) in staged.stages else None
            may_hurry = found.override is not None or staging is not None or i in partly
            written = (terms.pools[0], i) in in_force
            out[i] = self._want(found, totals[i], pods[terms.pools], staging, urgent if may_hurry else None, written)
        out |= {
            key: self._counter(key, counted, staged) for _, key in staged.placed if names.part_of(key) == names.REQUESTS
        }
        self._wanted = {i: self._wanted[i] for i in out}
        return out

    def _want(
        self,
        counted: ModelCapacity,
        of_model: Total,
        pods: int,
        staging: StagedLimits | None,
        urgent: Urgent | None,
        written: bool,
    ) -> LimitTarget:
        terms, enforced = counted.terms, 100
        if staging is not None:
            stage = staging.stages[names.identity_in(terms.identity)]
            enforced = stage.enforced
            if stage.pinned:
                terms = replace(terms, pools=staging.pools(terms) or terms.pools)
        if urgent is not None and urgent(counted.override, terms, enforced):
            terms = overrides.at_once(terms)
        inputs = (of_model, pods, written, counted.loads, terms, enforced)
        before = self._wanted.get(terms.identity)
        if before is None or before[0] != inputs:
            wanted = target(terms, of_model, counted.loads, pods, written, enforced)
            held = live_bucket(terms, self._gatherer.slots.limits()) if wanted.bucket is None else None
            if held and held.enforced != enforced:
                wanted = replace(wanted, bucket=replace(held, enforced=enforced))
            before = self._wanted[terms.identity] = (inputs, LimitTarget(terms, wanted))
        return before[1]

    def _counter(self, key: str, counted: Mapping[str, ModelCapacity], staged: StagedLimits) -> LimitTarget:
        """Return the limit that limits nothing and counts the requests of a pinned model, where it is pinned."""
        terms = counted[names.identity_in(key)].terms
        terms = replace(terms, pools=staged.pools(terms))
        before = self._wanted.get(key)
        if before is None or before[0] != (terms,):
            before = self._wanted[key] = ((terms,), pins.counting(terms))
        return before[1]
