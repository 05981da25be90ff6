"""What of callers is over: callers themselves, revocations of tokens, and keys that sign no more. Pure.

Each is named by three texts. (namespace, caller, "") is a caller that has expired, (namespace, caller, id) a revoked
token that would have expired by itself, and ("", tenant, id) a public key by which no token can be good any more.
"""

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from functools import partial
from itertools import chain

from istio_templates.documents import CallerSpec
from istio_templates.documents.override import moment
from k8s_manager.runtime.memo import Last, Memo
from k8s_manager.world.world import Stored, World

Lapse = tuple[str, str, str]


class CallerExpiry:
    """Says pass after pass what is over; moments are read again only where a document or a key has changed."""

    def __init__(self) -> None:
        self._read, self._over, self._memo = Last(), Last(), Memo()

    def at(self, world: World, now: datetime) -> World:
        """Return the world with what is over `now`."""
        ends = self._ends(world)
        over = bisect_right(ends, now, key=lambda end: end[0])
        lapsed = self._over.get((ends, over), lambda: frozenset(name for _, name in ends[:over]))
        return replace(world, lapsed=lapsed)

    def next_end(self, world: World, now: datetime) -> datetime | None:
        """Return when the next of it is over; None where nothing ends."""
        ends = self._ends(world)
        number = bisect_right(ends, now, key=lambda end: end[0])
        return ends[number][0] if number < len(ends) else None

    def _ends(self, world: World) -> list[tuple[datetime, Lapse]]:
        return self._read.get((world.callers, world.caller_keys), partial(self._sorted, world))

    def _sorted(self, world: World) -> list[tuple[datetime, Lapse]]:
        of_callers = (self._memo.get(one.key, (one,), partial(_ends_of, one)) for one in world.callers)
        found = sorted([*chain.from_iterable(of_callers), *_ends_of_keys(world)])
        self._memo.end_round()
        return found


def with_lapsed(world: World, now: datetime) -> World:
    """Return a world by itself with what of its callers is over `now`."""
    return CallerExpiry().at(world, now)


def _ends_of(stored: Stored[CallerSpec]) -> list[tuple[datetime, Lapse]]:
    namespace, name, spec = stored.key.namespace, stored.key.name, stored.spec
    if spec is None:
        return []
    own = [(moment(spec.expires), (namespace, name, ""))] if spec.expires else []
    return [*own, *((moment(token.expires), (namespace, name, token.id)) for token in spec.revoked_tokens)]


def _ends_of_keys(world: World) -> Iterator[tuple[datetime, Lapse]]:
    for tenant, keys in world.caller_keys.items():
        yield from ((moment(key.until), ("", tenant, key.id)) for key in keys if key.until)
