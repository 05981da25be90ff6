"""Which slots to write now: the debounced limits of all models, gathered into one common tick.

Pure: `decide` gets the state, what was observed and the time, and returns what to write and the next state.
The caller writes, then notes with `written` what arrived; what did not arrive is decided again.
"""

from collections.abc import Mapping, Set
from dataclasses import dataclass, field

from istio_templates.facts import Bucket, LimitKey
from istio_templates.names import PINNED_SLOTS
from ratelimiter import debounce
from ratelimiter.target import PodTarget, Terms

# istiod batches pushes while events keep coming, endpoint removals among them: writers must leave it gaps.
TICK = 1.0

Entry = tuple[str, LimitKey]  # the name of a gateway and the identity of a VirtualService
Slot = tuple[str, int]  # the name of a gateway and the number of a slot
Limits = tuple[tuple[LimitKey, Bucket], ...]


@dataclass(frozen=True, slots=True)
class LimitTarget:
    """A model under a limit: its terms and what it should have."""

    terms: Terms
    target: PodTarget


@dataclass(frozen=True, slots=True)
class Observation:
    """What was observed `at` a moment: the targets of all limits, by identity; identities whose limit stays untouched;
    the slots as they are, and those of them that an edit has changed; the limits that are `placed` in a slot other than
    their hash's."""

    at: float
    targets: Mapping[LimitKey, LimitTarget]
    retained: frozenset[LimitKey]
    live: Mapping[Slot, Limits]
    drifted: frozenset[Slot] = frozenset()
    placed: Mapping[Entry, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LimitState:
    """The debounce of every limit, when the last tick was, and what was observed then, so that only differences from it
    are processed: `targets`, and the slots, what was retained and what was placed in them, that were found to be
    `in_line` with what was written."""

    limits: Mapping[Entry, debounce.DebounceState] = field(default_factory=dict)
    ticked: float = float("-inf")
    targets: Mapping[LimitKey, LimitTarget] = field(default_factory=dict)
    in_line: tuple[Mapping[Slot, Limits], frozenset[LimitKey], Mapping[Entry, int]] | None = None


@dataclass(frozen=True, slots=True)
class LimitDecision:
    """Slots to write now, with all their limits, and when to look again (None: at the next event); `stale` are those of
    them that are not what was written last."""

    writes: Mapping[Slot, Limits]
    wake_at: float | None
    stale: frozenset[Slot] = frozenset()


def decide(
    state: LimitState, seen: Observation, now: float, waiting: Set[Slot] = frozenset()
) -> tuple[LimitDecision, LimitState]:
    """Return what to write at `now`, and the state with everything observed. Slots that are `waiting`, since a write of
    theirs is under way or has just failed, are left out, and delay no other."""
    fresh = {i for i, target in seen.targets.items() if state.targets.get(i) is not target}
    limits = _observed(state, seen, fresh)
    dues = {
        entry: due for entry, limit in limits.items() if limit.pending and (due := _due(seen, entry, limit)) is not None
    }
    stay = not any(_moves(state.targets.get(i), seen.targets[i]) for i in fresh)
    known = stay and limits.keys() == state.limits.keys() and (seen.live, seen.retained, seen.placed) == state.in_line
    stale = frozenset() if known else _out_of_line(seen, limits)
    after = LimitState(limits, state.ticked, seen.targets, None if stale else (seen.live, seen.retained, seen.placed))
    late = {_slot(seen, entry) for entry in dues} & waiting | (stale | seen.drifted) & waiting
    dues = {entry: due for entry, due in dues.items() if _slot(seen, entry) not in waiting} if late else dues
    stale = (stale | seen.drifted) - waiting
    earliest = min([*dues.values(), *([now] if stale else [])], default=None)
    if earliest is None:
        return LimitDecision({}, None), after
    tick = max(earliest, state.ticked + TICK)
    if now < tick:
        return LimitDecision({}, tick), after
    slots = {_slot(seen, entry) for entry, due in dues.items() if due <= now} | stale
    writes = {slot: _contents(seen, limits, slot, now) for slot in sorted(slots)}
    if late and (held := _held(seen, writes, {slot: _contents(seen, limits, slot, now) for slot in late})):
        return decide(state, seen, now, waiting | held)
    return LimitDecision(writes, None, stale), after


def written(state: LimitState, writes: Mapping[Slot, Limits], now: float, ticked: bool = True) -> LimitState:
    """Return the state after `writes` have arrived at `now`; `ticked`: they were those of a tick."""
    limits = dict(state.limits)
    for (pool, _), contents in writes.items():
        for identity, bucket in contents:
            entry = (pool, identity)
            if entry in limits and limits[entry].written != bucket:
                limits[entry] = debounce.wrote(limits[entry], bucket, now)
    return LimitState(limits, now if ticked else state.ticked, state.targets)


def giving(live: Mapping[Slot, Limits], writes: Mapping[Slot, Limits]) -> dict[Slot, set[Slot]]:
    """Return the slots of which a write takes a limit away that another brings, each with those others. They come last:
    a limit that moves is in two slots for a moment, and never in none."""
    brought: dict[Entry, set[Slot]] = {}
    for slot, limits in writes.items():
        there = {key for key, _ in live.get(slot, ())}
        for key, _ in limits:
            if key not in there:
                brought.setdefault((slot[0], key), set()).add(slot)
    out: dict[Slot, set[Slot]] = {}
    for slot in writes if brought else ():
        left = {key for key, _ in live.get(slot, ())} - {key for key, _ in writes[slot]}
        if takers := {taker for key in left for taker in brought.get((slot[0], key), ())}:
            out[slot] = takers
    return out


def next_writes(
    slots: Set[Slot], giving: Mapping[Slot, Set[Slot]], done: Set[Slot], tried: Set[Slot]
) -> frozenset[Slot]:
    """Return the slots to write next: those whose takers have all arrived. Slots that give to each other in a ring go
    together, last; who waits for a write that failed is left out."""
    left = slots - tried
    if ready := frozenset(slot for slot in left if giving.get(slot, set()) <= done):
        return ready
    blocked = tried - done
    while more := {slot for slot in left - blocked if giving.get(slot, set()) & blocked}:
        blocked = blocked | more
    return frozenset(left - blocked)


def _held(seen: Observation, writes: Mapping[Slot, Limits], late: Mapping[Slot, Limits]) -> frozenset[Slot]:
    """Return those of some writes that would take a limit away which a `late` slot is to bring, at any remove."""
    givers, held = giving(seen.live, {**writes, **late}), set(late)
    while more := {slot for slot in writes.keys() - held if givers.get(slot, set()) & held}:
        held |= more
    return frozenset(held & writes.keys())


def _moves(before: LimitTarget | None, target: LimitTarget) -> bool:
    return before is not None and before.terms.slot != target.terms.slot


def _observed(state: LimitState, seen: Observation, fresh: Set[LimitKey]) -> Mapping[Entry, debounce.DebounceState]:
    """Return the debounce of every limit; those that are not `fresh` want the same as before and are as before."""
    if not fresh and seen.targets.keys() == state.targets.keys():
        return state.limits
    unknown = any((pool, i) not in state.limits for i in fresh for pool in seen.targets[i].terms.pools)
    live = _in_force(seen) if unknown else {}
    return {
        (pool, identity): _observed_one(state, seen, (pool, identity), identity in fresh, live)
        for identity, target in seen.targets.items()
        for pool in target.terms.pools
    }


def _observed_one(
    state: LimitState, seen: Observation, entry: Entry, changed: bool, live: Mapping[Entry, Bucket]
) -> debounce.DebounceState:
    """Return the debounce of one limit. What is in force is read from the slots themselves, so that a restarted
    manager goes on where the last one stopped, also where a limit has to move."""
    before = state.limits.get(entry)
    if before is not None and not changed:
        return before
    if before is None:
        before = debounce.DebounceState(live.get(entry))
    target, known = seen.targets[entry[1]].target, state.targets.get(entry[1])
    if target.bucket is None:
        return debounce.DebounceState(before.written)
    recovered = known is not None and known.target.total.is_fallback and not target.total.is_fallback
    return debounce.observe(before, target.bucket, seen.at, at_once=recovered)


def _in_force(seen: Observation) -> dict[Entry, Bucket]:
    """Return every limit that is in a slot; of one in two, that of its own slot."""
    found: dict[Entry, Bucket] = {}
    for slot, limits in seen.live.items():
        for key, bucket in limits:
            entry = (slot[0], key)
            if entry not in found or (key in seen.targets and _slot(seen, entry) == slot):
                found[entry] = bucket
    return found


def _due(seen: Observation, entry: Entry, limit: debounce.DebounceState) -> float | None:
    return debounce.due_at(limit, seen.targets[entry[1]].terms.rules)


def _slot(seen: Observation, entry: Entry) -> Slot:
    terms = seen.targets[entry[1]].terms
    placed = seen.placed.get(entry)
    return (entry[0], terms.slot if placed is None else placed)


def _out_of_line(seen: Observation, limits: Mapping[Entry, debounce.DebounceState]) -> frozenset[Slot]:
    """Return the slots whose limits are not what was written: a model has gone, or an edit has changed them."""
    expected: dict[Slot, dict[LimitKey, Bucket]] = {}
    for entry, limit in limits.items():
        if limit.written is not None:
            expected.setdefault(_slot(seen, entry), {})[entry[1]] = limit.written
    differing = {
        slot
        for slot, found in seen.live.items()
        if {identity: bucket for identity, bucket in found if identity not in seen.retained} != expected.get(slot, {})
    }
    return frozenset(differing | (expected.keys() - seen.live.keys()))


def _contents(seen: Observation, limits: Mapping[Entry, debounce.DebounceState], slot: Slot, now: float) -> Limits:
    """Return what a rewritten slot holds. For how many per cent it is enforced is the whole slot's, so what is not
    enforced for all requests never comes into a shared one."""
    contents = {identity: bucket for identity, bucket in seen.live.get(slot, ()) if identity in seen.retained}
    for entry, limit in limits.items():
        if entry[0] == slot[0] and _slot(seen, entry) == slot and (bucket := _value(seen, entry, limit, now)):
            contents[entry[1]] = bucket
    pinned = slot[1] < PINNED_SLOTS
    return tuple(sorted((key, bucket) for key, bucket in contents.items() if pinned or bucket.enforced == 100))


def _value(seen: Observation, entry: Entry, limit: debounce.DebounceState, now: float) -> Bucket | None:
    """Return the bucket of one limit in a rewritten slot: what is due, a waiting cut too, else what is in force."""
    if limit.pending is not None and debounce.is_urgent(limit):
        return limit.pending.target
    due = debounce.value_at(limit, seen.targets[entry[1]].terms.rules, now)
    return due if due is not None else limit.written
