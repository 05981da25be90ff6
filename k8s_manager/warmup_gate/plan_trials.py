"""Warm-up plans are tried beside the event loop before a pass asks what is wrong with them.

A plan that was accepted as it is holds until it has been tried again: whatever tenants have stored, a manager that
starts goes on at once.
"""

import asyncio
from collections.abc import Callable, Iterator

from k8s_manager.admission.rules.warmup_rules import PlanChecks, heavy_bundles, problems_in
from k8s_manager.world.world import Stored, World
from warmup.plans.bundle import Bundle


class PlanTrials:
    """Tries the plans of world after world, one at a time; calls `changed` when an accepted plan turns out to be
    wrong."""

    def __init__(self, checks: PlanChecks, changed: Callable[[], None]) -> None:
        self._checks, self._changed = checks, changed
        self._seen: tuple[object, ...] = ()
        self._again: list[Bundle] = []
        self._task: asyncio.Task[None] | None = None

    async def prepare(self, world: World) -> None:
        """Try the plans of a world that are not known yet, but those that were accepted before later."""
        seen = (world.models, world.warmup_plans, world.files)
        if all(before is now for before, now in zip(self._seen, seen, strict=False)) and self._seen:
            return
        for stored, bundle in list(self._untried(world)):
            if stored.incumbent:
                self._checks.remember(bundle, ())
                self._again.append(bundle)
            else:
                self._checks.remember(bundle, await asyncio.to_thread(problems_in, bundle))
        self._seen = seen
        if self._again and (self._task is None or self._task.done()):
            self._task = asyncio.create_task(self._try_again())

    async def _try_again(self) -> None:
        while self._again:
            bundle = self._again.pop()
            if problems := await asyncio.to_thread(problems_in, bundle):
                self._checks.remember(bundle, problems)
                self._changed()

    def _untried(self, world: World) -> Iterator[tuple[Stored, Bundle]]:
        documents: tuple[Stored, ...] = (*world.models, *world.warmup_plans)
        for stored in documents:
            if stored.document is not None:
                for bundle in self._checks.untried(heavy_bundles([stored.document], world)):
                    yield stored, bundle
