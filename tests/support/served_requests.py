"""Requests of a model in simulated time, as what releases read: a constant rate, split as the routes split it."""

import asyncio
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from collectors.access_log.latency import bucket_of, merged
from istio_templates.facts import Manifest
from k8s_manager.release.decision.observation import ExternalReading, StepStatistics, VersionStatistics
from k8s_manager.release.quiet_hours import ModelLoad
from k8s_manager.release.release_source import ReleaseQuestion, ReleaseReadings
from k8s_manager.release.release_target import ModelPlace
from tests.support.simulated import SimulatedClock

WINDOW, SETTLED = 10, 20


@dataclass
class VersionBehaviour:
    """How a version answers: the share of failures, and the median of its latency in seconds."""

    errors: float = 0.001
    latency: float = 0.05


@dataclass
class ServedRequests:
    """`rate` requests/s of one model; `away`: nothing counts them; `delay` is how long an answer takes. `seen` are the
    weights of every second, `mirrors` the per cent that is mirrored to each version. `load` is what quiet hours are
    chosen by, `figures` what queries give by the names of their checks."""

    rate: float = 60.0
    behaviour: dict[str, VersionBehaviour] = field(default_factory=dict)
    away: bool = False
    delay: float = 0.0
    seen: list[dict[str, int]] = field(default_factory=list)
    mirrors: list[dict[str, int]] = field(default_factory=list)
    load: ModelLoad = field(default_factory=ModelLoad)
    figures: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._clock, self._random = SimulatedClock(), random.Random(7)
        self._windows: list[tuple[float, dict[str, VersionStatistics]]] = []

    async def run(self, cluster: object) -> None:
        """Count requests until cancelled, by the weights of the VirtualService."""
        while True:
            start, counts = self._clock.utc().timestamp(), dict[str, int]()
            for _ in range(WINDOW):
                route = cluster.find("VirtualService", "ranker", "search")  # type: ignore[attr-defined]
                weights, mirrors = weights_of(route), mirrors_of(route)
                self.seen.append(weights)
                self.mirrors.append(mirrors)
                copies = {f"mirrored {version}": share for version, share in mirrors.items()}
                for version, weight in {**weights, **copies}.items():
                    counts[version] = counts.get(version, 0) + round(self.rate * weight / 100)
                await asyncio.sleep(1)
            self._windows.append((start, {name: self._statistics(name, count) for name, count in counts.items()}))

    def _statistics(self, version: str, count: int) -> VersionStatistics:
        behaviour = self.behaviour.get(version.removeprefix("mirrored "), VersionBehaviour())
        latency = dict[int, int]()
        failed = sum(self._random.random() < behaviour.errors for _ in range(count))
        for _ in range(count):
            found = bucket_of(round(behaviour.latency * 1e6 * self._random.lognormvariate(0, 0.3)))
            latency[found] = latency.get(found, 0) + 1
        return VersionStatistics(count, {"5xx": failed, "4xx": 0, "noAnswer": 0}, latency)

    async def read(self, asked: Sequence[ReleaseQuestion]) -> Mapping[ModelPlace, ReleaseReadings]:
        """Return the requests since each step began, as far as they are counted."""
        await asyncio.sleep(self.delay)
        if self.away:
            return {one.place: ReleaseReadings(flaw="no collector answers; look at the collectors") for one in asked}
        load = {one.place: self.load if one.by_load else ModelLoad() for one in asked}
        return {
            one.place: ReleaseReadings(self._since(one), None, self._readings(one), load=load[one.place])
            for one in asked
        }

    def _readings(self, asked: ReleaseQuestion) -> dict[str, ExternalReading]:
        now = self._clock.utc().timestamp()
        known = asked.queries.keys() & self.figures.keys()
        return {name: ExternalReading(now, "value", self.figures[name]) for name in known}

    def _since(self, asked: ReleaseQuestion) -> StepStatistics:
        end = self._clock.utc().timestamp() - SETTLED
        found = [(at, of) for at, of in self._windows if at >= asked.since and at + WINDOW <= end]
        until = max((at + WINDOW for at, _ in found), default=end)
        first = min((at for at, _ in found), default=until)
        stable = _sum(found, asked.stable)
        if asked.mirrors:
            return StepStatistics(first, until, stable, mirrored=_sum(found, f"mirrored {asked.version}"))
        return StepStatistics(first, until, stable, _sum(found, asked.version))


def weights_of(route: Manifest | None) -> dict[str, int]:
    """Return the weights of the versions in a VirtualService; none where there is none."""
    if route is None:
        return {}
    found = [part for rule in route["spec"]["http"] for part in rule.get("route", ())]
    return {part["destination"].get("subset", ""): part.get("weight", 100) for part in found}


def mirrors_of(route: Manifest | None) -> dict[str, int]:
    """Return the per cent of requests that a VirtualService mirrors to each version."""
    found = [part for rule in (route or {"spec": {"http": []}})["spec"]["http"] for part in rule.get("mirrors", ())]
    return {part["destination"]["subset"]: part["percentage"]["value"] for part in found}


def _sum(windows: Sequence[tuple[float, dict[str, VersionStatistics]]], version: str) -> VersionStatistics:
    parts = [of[version] for _, of in windows if version in of]
    outcomes = {name: sum(part.outcomes[name] for part in parts) for name in ("5xx", "4xx", "noAnswer")}
    return VersionStatistics(sum(part.requests for part in parts), outcomes, merged(part.latency for part in parts))
