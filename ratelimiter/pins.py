"""Which models have a pair of pinned slots, by themselves: the first counts their requests, the second limits a share.

Nothing is stored: a limit that has a pair and still asks for one keeps it, newcomers take what is free, in order.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction

from istio_templates.envoy_filter import COUNTING
from istio_templates.facts import LimitKey
from istio_templates.names import PINNED_SLOTS, REQUESTS
from ratelimiter.controller import Entry, Limits, LimitTarget, Slot
from ratelimiter.overrides import at_once
from ratelimiter.target import PodTarget, Terms, Total

PAIRS = PINNED_SLOTS // 2


@dataclass(frozen=True, slots=True)
class Pinned:
    """The pair of each limit that has one, and for those that got none the limits that have the pairs of their
    gateway."""

    pairs: Mapping[Entry, int] = field(default_factory=dict)
    holders: Mapping[LimitKey, tuple[LimitKey, ...]] = field(default_factory=dict)


def counter(pair: int) -> int:
    """Return the slot of a pair that counts requests. It comes first: refused requests go no further."""
    return 2 * pair


def limiter(pair: int) -> int:
    """Return the slot of a pair that limits."""
    return 2 * pair + 1


def counting(terms: Terms) -> LimitTarget:
    """Return the limit that limits nothing and counts every request of a pinned model."""
    of_requests = replace(at_once(terms), identity=terms.identity.of_part(REQUESTS))
    return LimitTarget(of_requests, PodTarget(Total(None, Fraction(0), "Capacity"), 0, (), COUNTING))


def held(slots: Mapping[Slot, Limits]) -> dict[str, dict[int, LimitKey]]:
    """Return the identity in each pair of each gateway, by what its slots hold."""
    out: dict[str, dict[int, LimitKey]] = {}
    for (gateway, number), limits in sorted(slots.items(), reverse=True):
        if number < PINNED_SLOTS and limits:
            out.setdefault(gateway, {})[number // 2] = limits[0][0].whole
    return out


def assign(
    asking: Iterable[tuple[LimitKey, tuple[str, ...]]], slots: Mapping[Slot, Limits], kept: frozenset[LimitKey]
) -> Pinned:
    """Return the pair of each limit: `asking` are identities with the gateways that limit them; `kept` keep what they
    have without asking. One that gets a pair in some of its gateways only is limited there."""
    live, wanting = held(slots), sorted(asking)
    names = {identity for identity, _ in wanting} | kept
    taken = {g: {pair: i for pair, i in pairs.items() if i in names} for g, pairs in live.items()}
    pairs: dict[Entry, int] = {}
    holders: dict[LimitKey, tuple[LimitKey, ...]] = {}
    for identity, gateways in wanting:
        found = {gateway: _pair(identity, taken.setdefault(gateway, {})) for gateway in gateways}
        got = {gateway: pair for gateway, pair in found.items() if pair is not None}
        if not got:
            holders[identity] = tuple(sorted({held for gateway in gateways for held in taken[gateway].values()}))
        for gateway, pair in got.items():
            taken[gateway][pair] = identity
            pairs[gateway, identity] = pair
    return Pinned(pairs, holders)


def _pair(identity: LimitKey, taken: Mapping[int, LimitKey]) -> int | None:
    own = next((pair for pair, holder in sorted(taken.items()) if holder == identity), None)
    return own if own is not None else next((pair for pair in range(PAIRS) if pair not in taken), None)
