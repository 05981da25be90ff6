"""How far every limit in shadow or ramp has come, and in which pinned slots it is."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from istio_templates import names
from istio_templates.facts import Bucket
from k8s_manager.plan import Limited
from ratelimiter import modes, overrides, pins
from ratelimiter.controller import Entry, Limits, Slot
from ratelimiter.modes import Evidence, Stage
from ratelimiter.overrides import Override
from ratelimiter.target import Terms


class Evidences(Protocol):
    """Where evidence comes from."""

    def evidence(self, identity: str) -> Evidence | None:
        """Return what was counted of a model; None where nothing was yet."""


@dataclass(frozen=True, slots=True)
class Staged:
    """The stage of every model that is not simply enforced or off, the slots in which limits are placed, who holds the
    pairs of those that got none, and when a ramp goes on."""

    stages: Mapping[str, Stage] = field(default_factory=dict)
    placed: Mapping[Entry, int] = field(default_factory=dict)
    holders: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    next_at: float | None = None


class Staging:
    """Looks pass after pass; what it keeps between them is only when ramps began, which slots tell too."""

    def __init__(self, evidences: Evidences) -> None:
        self._evidences = evidences
        self._began: dict[str, float] = {}

    def look(
        self,
        limits: Mapping[str, Limited],
        holding: Mapping[str, Override],
        slots: Mapping[Slot, Limits],
        kept: frozenset[str],
        now: float,
    ) -> Staged:
        """Return where the limits of models stand. `limits` are all limits of those that may be staged."""
        whole = {i: limited.terms for i, limited in limits.items() if not limited.terms.version}
        stages = {i: s for i, terms in whole.items() if (s := self._stage(terms, holding.get(i), slots, now))}
        self._began = {i: at for i, at in self._began.items() if i in stages}
        if not stages:
            return Staged()
        asking = [(i, whole[i].pools) for i, stage in stages.items() if stage.pinned]
        pinned = pins.assign(asking, slots, kept)
        following = [stage.next_at for stage in stages.values() if stage.next_at is not None]
        return Staged(stages, _placed(pinned, limits), pinned.holders, min(following, default=None))

    def _stage(self, terms: Terms, override: Override | None, slots: Mapping[Slot, Limits], now: float) -> Stage | None:
        """Return where a limit stands; None where it is simply enforced, or off."""
        mode, found = overrides.mode_under(override, terms), live_bucket(terms, slots)
        live = found.enforced if found else None
        if mode == "off" or overrides.takes_away(override) or (override and override.action == "floor"):
            return None
        if override and override.action == "freeze" and live is not None:
            return Stage(live)
        began = self._began.get(terms.identity)
        if mode == "ramp" and began is None:
            began = modes.begun(live, terms.ramp, now)
        verdict = None if override and override.mode else terms.verdict
        stage = modes.stage(mode, live, began or now, terms.ramp, now)
        stage = modes.held_back(stage, live, verdict, self._evidences.evidence(terms.identity))
        if mode == "ramp" and not stage.awaits and began is not None:
            self._began[terms.identity] = began
        return stage if stage.pinned or mode != "enforce" else None


def live_bucket(terms: Terms, slots: Mapping[Slot, Limits]) -> Bucket | None:
    """Return what a gateway pod enforces of a limit now; None where it is in no slot. Of several the laxest."""
    found = [
        bucket
        for pool in terms.pools
        for number in (*range(names.PINNED_SLOTS), terms.slot)
        if (bucket := _limit(terms.identity, slots.get((pool, number), ())))
    ]
    return min(found, default=None, key=lambda bucket: bucket.enforced)


def _limit(identity: str, limits: Limits) -> Bucket | None:
    return next((bucket for key, bucket in limits if key == identity), None)


def _placed(pinned: pins.Pinned, limits: Mapping[str, Limited]) -> dict[Entry, int]:
    """Return the slot of every limit of the pinned models: the limiter for the whole's and its versions', and beside it
    the counter."""
    out: dict[Entry, int] = {}
    for (gateway, identity), pair in pinned.pairs.items():
        for key in limits:
            if names.identity_in(key) == identity:
                out[gateway, key] = pins.limiter(pair)
        out[gateway, names.limit_key(identity, names.REQUESTS)] = pins.counter(pair)
    return out
