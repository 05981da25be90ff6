"""Ends of lengths of time that statuses hold as moments; the lengths stay as they are, whatever the wall clock does.

An overlap and a drain are lengths. Their ends stand in statuses by the wall clock, so that the next leader goes on with
them. A leader measures what is left on its monotonic clock; where the wall clock has jumped, the moment moves with it,
so that no later reader of the status takes the jump for time that has passed. Pure, but for what it remembers.
"""

import operator
from collections.abc import Hashable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from istio_templates.documents import ModelSpec, TenantSpec
from k8s_manager.runtime.timestamp import timestamp
from k8s_manager.world.world import Stored, World

TOLERANCE = 5.0
"""Seconds by which the two clocks may differ before a moment is moved."""


@dataclass(frozen=True, slots=True)
class Deadline:
    """A moment in a status, and when it comes on the monotonic clock."""

    until: datetime
    at: float


class Deadlines:
    """Follows ends from pass to pass, each by what it is the end of."""

    def __init__(self) -> None:
        self._known: dict[Hashable, Deadline] = {}

    def settled(self, world: World, wall: datetime, now: float, overlap: float) -> World:
        """Return a world whose statuses say when moves and drains end by the wall clock as it is at `wall`.

        `now` is the monotonic clock at the same moment, `overlap` the longest that a move may last, in seconds.
        """
        seen = set[Hashable]()
        tenants = tuple(self._tenant(stored, wall, now, overlap, seen) for stored in world.tenants)
        models = tuple(self._model(stored, wall, now, seen) for stored in world.models)
        self._known = {of: found for of, found in self._known.items() if of in seen}
        is_same = all(map(operator.is_, (*tenants, *models), (*world.tenants, *world.models)))
        return world if is_same else replace(world, tenants=tenants, models=models)

    def _tenant(
        self, stored: Stored[TenantSpec], wall: datetime, now: float, overlap: float, seen: set[Hashable]
    ) -> Stored[TenantSpec]:
        moving = stored.status.get("moving") or {}
        end = _moment(moving)
        if end is None:
            return stored
        seen.add(of := (stored.uid, "moving"))
        until = self.settle(of, end, overlap, wall, now)
        if until == end:
            return stored
        return replace(stored, status={**stored.status, "moving": {**moving, "until": timestamp(until)}})

    def _model(self, stored: Stored[ModelSpec], wall: datetime, now: float, seen: set[Hashable]) -> Stored[ModelSpec]:
        draining = stored.status.get("draining")
        if not isinstance(draining, list):
            return stored
        moved = []
        for version in draining:
            if (end := _moment(version)) is not None:
                seen.add(of := (stored.uid, str(version.get("version"))))
                until = self.settle(of, end, None, wall, now)
                moved.append(version if until == end else {**version, "until": timestamp(until)})
            else:
                moved.append(version)
        return stored if moved == draining else replace(stored, status={**stored.status, "draining": moved})

    def settle(self, of: Hashable, until: datetime, longest: float | None, wall: datetime, now: float) -> datetime:
        """Return when, by the wall clock as it is at `wall`, a length ends that was to end at `until`.

        A length that is read for the first time lasts at most `longest` seconds from now: a clock that was set back
        before may have made it longer.
        """
        known = self._known.get(of)
        if known is None or known.until != until:
            until = until if longest is None else min(until, _later(wall, longest))
            self._known[of] = Deadline(until, now + (until - wall).total_seconds())
            return until
        end = wall + timedelta(seconds=known.at - now)
        if abs((end - until).total_seconds()) <= TOLERANCE:
            return until
        end = _later(end.replace(microsecond=0), 1)
        self._known[of] = Deadline(end, known.at)
        return end


def _later(moment: datetime, seconds: float) -> datetime:
    """Return a moment some seconds later, to the second and never an earlier one: statuses hold no more."""
    later = moment + timedelta(seconds=seconds)
    return later if later.microsecond == 0 else later.replace(microsecond=0) + timedelta(seconds=1)


def _moment(said: Any) -> datetime | None:
    """Return the end in a status; None where it cannot be read."""
    try:
        found = datetime.fromisoformat(said["until"])
    except (KeyError, TypeError, ValueError):
        return None
    return found if found.tzinfo else None
