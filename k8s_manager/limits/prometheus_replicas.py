"""The sample loop: asks Prometheus for replica counts now and then, and keeps those that can be believed."""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from collectors.samples import Sample, TrustedCount, held
from istio_templates import names
from istio_templates.documents import ModelSpec
from istio_templates.errors import TidegateError
from k8s_manager.runtime.clock import Clock
from k8s_manager.runtime.control_loop import poll
from k8s_manager.runtime.effects.lane import Effects
from k8s_manager.runtime.metrics import SOURCE_READS
from k8s_manager.runtime.settings import Settings

log = logging.getLogger(__name__)
Key = tuple[str, str]  # namespace and Deployment


class Source(Protocol):
    """Where samples come from."""

    async def read(self) -> Mapping[Key, Sample]:
        """Return the newest sample of each Deployment; raises `TidegateError`."""


@dataclass(frozen=True, slots=True)
class SourceDoubt:
    """Why Prometheus and the watch cannot be said to count the same replicas: they have differed for long (`Disagree`)
    or for a moment (`Settling`), Prometheus returns nothing to compare (`NotRead`), or only one of them is asked."""

    reason: str
    said: str = ""


ONE_SOURCE = SourceDoubt("OneSource")


class SampleLoop:
    """Replica counts from a metrics system, as far as they are believed; `changed` is set at each reading."""

    def __init__(self, source: Source | None, clock: Clock, settings: Settings, changed: asyncio.Event) -> None:
        self._source, self._clock, self._settings, self._changed = source, clock, settings, changed
        self._held: dict[Key, TrustedCount] = {}
        self._differs_since: dict[tuple[str, str, str], float] = {}
        self.version = 0
        self.problem: str | None = None

    async def run(self) -> None:
        """Ask again and again until cancelled; without a source there is nothing to ask."""
        if self._source is not None:
            effects = Effects(self._clock, asyncio.Event())
            await poll("samples", partial(self.once, self._source), self._settings.sample_every, self._clock, effects)

    async def once(self, source: Source) -> None:
        """Ask once."""
        try:
            samples, self.problem = await source.read(), None
        except TidegateError as error:
            samples, self.problem = {}, str(error)
            log.warning("%s", error)
        SOURCE_READS.labels("failure" if self.problem else "success").inc()
        now = self._clock.utc().timestamp()
        after = {key: held(self._held.get(key), samples.get(key), now) for key in self._held.keys() | samples.keys()}
        self._held = {key: found for key, found in after.items() if found is not None}
        self.version += 1
        self._changed.set()

    def counts(self, namespace: str, model: str, spec: ModelSpec) -> dict[str, TrustedCount | None]:
        """Return the trusted count of each version whose Deployment the manager renders."""
        return {
            v.name: self._held.get((namespace, names.deployment(model, v.name))) for v in spec.versions if v.workload
        }

    def doubt(self, namespace: str, model: str, spec: ModelSpec, ready: Mapping[str, int]) -> SourceDoubt | None:
        """Return why the watch and Prometheus cannot be said to count the same replicas; None where they do."""
        now, differing, unread, is_settling = self._clock.now(), [], [], False
        for name, found in self.counts(namespace, model, spec).items():
            key = (namespace, model, name)
            if found is None or not self.fresh(found):
                self._differs_since.pop(key, None)
                unread.append(name)
            elif found.count == ready.get(name, 0):
                self._differs_since.pop(key, None)
            elif now - self._differs_since.setdefault(key, now) > self._settings.sample_patience:
                differing.append(f"version {name}: {ready.get(name, 0)} ready by watch, {found.count} by Prometheus")
            else:
                is_settling = True
        if differing:
            return SourceDoubt("Disagree", "; ".join(differing))
        if unread:
            why = self.problem or f"Prometheus has no count of version {', '.join(unread)} that is young enough"
            return SourceDoubt("NotRead", why)
        return SourceDoubt("Settling") if is_settling else None

    def fresh(self, found: TrustedCount | None) -> bool:
        """Tell whether a count is young enough to be trusted."""
        return found is not None and self._clock.utc().timestamp() - found.at < self._settings.stale_after
