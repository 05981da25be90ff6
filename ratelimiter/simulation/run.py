"""The simulation itself: the controller decides at every change, the buckets at every request.

What the gateway pods enforce lags behind the controller's writes by `timeToEffect`. Beside each pod's bucket runs an
ideal one that follows the same limits and is never filled up by a rewrite: what the first admits more than the
second is the over-admission by refills.
"""

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from math import lcm

from istio_templates.documents.fields import seconds
from istio_templates.facts import Bucket
from ratelimiter import controller
from ratelimiter.autoscale.replica_fleet import PERIOD, ReplicaFleet
from ratelimiter.capacity import capacity
from ratelimiter.controller import LimitTarget, Observation
from ratelimiter.simulation.bucket import TokenBucket
from ratelimiter.simulation.outcome import Series, SimulationOutcome
from ratelimiter.simulation.replicas import fleet_of
from ratelimiter.simulation.scenario import GATEWAY, IDENTITY, MODEL, NAMESPACE, Scenario
from ratelimiter.simulation.trace import NANOS, Trace
from ratelimiter.slots import slot_of
from ratelimiter.target import target, total

SLOT = (GATEWAY, slot_of(NAMESPACE, MODEL))
LOOK = PERIOD * NANOS
"""Nanoseconds between two looks of an autoscaler."""
Tell = Callable[[float], None]


@dataclass(slots=True)
class SimulatedPod:
    """A gateway pod: its bucket and the ideal one."""

    real: TokenBucket
    ideal: TokenBucket


@dataclass(slots=True)
class SimulatedGateways:
    """The gateway pods and what they enforce; closed, they answer 503 to everything."""

    bucket: Bucket
    closed: bool
    pods: list[SimulatedPod] = field(default_factory=list)

    def resize(self, count: int, at: int) -> None:
        """Let pods come, with full buckets, or go."""
        self.pods = self.pods[:count]
        while len(self.pods) < count:
            self.pods.append(SimulatedPod(TokenBucket(self.bucket, at), TokenBucket(self.bucket, at)))

    def rewrite(self, bucket: Bucket, at: int) -> None:
        """Give all pods a new bucket, or the same one again: either way it is full."""
        changed, self.bucket = bucket != self.bucket, bucket
        for pod in self.pods:
            pod.real.rewrite(bucket, at)
            if changed:
                pod.ideal.adjust(bucket, at)


class Simulation:
    """One run. `progress` takes the share that is done, from 0 to 1."""

    def __init__(self, scenario: Scenario, trace: Trace, progress: Tell = lambda _: None) -> None:
        self._scenario, self._trace, self._progress = scenario, trace, progress
        self._began = trace.starts * NANOS
        self._replicas, self._gateways = scenario.replicas[0].count, scenario.gateways[0].count
        self._state = controller.LimitState()
        self._scaled = self._scaling()
        self._order = 0
        self._agenda: list[tuple[int, int, Callable[[int], None]]] = []
        self._wakes: set[int] = set()
        wanted = self._wanted(None)
        assert wanted.target.bucket is not None
        self._live: controller.Limits = ((IDENTITY, wanted.target.bucket),)
        self._fleet = SimulatedGateways(wanted.target.bucket, wanted.target.total.closed)
        self._fleet.resize(self._gateways, int(self._began))
        self._told: tuple[Bucket | None, bool] = (wanted.target.bucket, wanted.target.total.closed)
        self._held = wanted.target.bucket.rate * self._gateways
        self._outcome = SimulationOutcome(Series(trace.starts, trace.ends), self._held)
        self._outcome.series.limit_is(int(self._began), self._held)
        self._outcome.series.replicas_are(int(self._began), self._replicas, self._replicas)

    def run(self) -> SimulationOutcome:
        """Let every request come and every change happen, in the order of their times."""
        self._prepare()
        self._decide(int(self._began))
        choose = self._in_turn() if not self._scenario.connection_skew else self._skewed()
        length = max(1, int((self._trace.ends - self._trace.starts) * NANOS))
        for number, at in enumerate(self._trace.arrivals()):
            while self._agenda and self._agenda[0][0] <= at:
                self._step()
            self._request(at, choose(number))
            if number % 20_000 == 0:
                self._progress((at - int(self._began)) / length)
        ends = int(self._trace.ends * NANOS)
        while self._agenda and self._agenda[0][0] <= ends:
            self._step()
        self._progress(1.0)
        return self._outcome

    def _prepare(self) -> None:
        for moment in self._scenario.replicas[1:]:
            self._at(self._began + seconds(moment.at) * NANOS, self._replicas_become(moment.count))
        for moment in self._scenario.gateways[1:]:
            self._at(self._began + seconds(moment.at) * NANOS, self._gateways_become(moment.count))
        if self._scenario.slot_rewrites:
            self._neighbours(int(self._began))
        if self._scaled is not None:
            self._at(self._began + LOOK, self._scale)

    def _scaling(self) -> ReplicaFleet | None:
        settings, per_replica = self._scenario.scaling, self._scenario.rate_limit.per_replica_qps
        if settings is None:
            return None
        return fleet_of(settings, per_replica, self._replicas, int(self._began))

    def _scale(self, at: int) -> None:
        """Let the autoscaler look, and again after a while."""
        assert self._scaled is not None
        if (warm_at := self._scaled.look(at)) is not None:
            self._at(warm_at, self._count_warm)
        self._count_warm(at)
        self._at(at + LOOK, self._scale)

    def _count_warm(self, at: int) -> None:
        assert self._scaled is not None
        count = self._scaled.warm(at)
        self._outcome.series.replicas_are(at, count, self._scaled.asked)
        if count != self._replicas:
            self._replicas_become(count)(at)

    def _at(self, at: Fraction | int, what: Callable[[int], None]) -> None:
        self._order += 1
        heapq.heappush(self._agenda, (int(at), self._order, what))

    def _step(self) -> None:
        at, _, what = heapq.heappop(self._agenda)
        what(at)

    def _replicas_become(self, count: int) -> Callable[[int], None]:
        def change(at: int) -> None:
            self._replicas = count
            if self._scaled is None:
                self._outcome.series.replicas_are(at, count, count)
            self._decide(at)

        return change

    def _gateways_become(self, count: int) -> Callable[[int], None]:
        def change(at: int) -> None:
            self._gateways = count
            self._fleet.resize(count, at)
            self._decide(at)

        return change

    def _neighbours(self, at: int) -> None:
        """Let another model of the slot cause a rewrite, `slotRewrites` times a minute."""
        if at > self._began:
            self._refill(self._fleet.bucket, at)
        self._at(at + int(60 * NANOS / Fraction(str(self._scenario.slot_rewrites))), self._neighbours)

    def _wanted(self, held: Fraction | None) -> LimitTarget:
        terms, loads = self._scenario.terms, self._scenario.loads(self._replicas)
        of_model = total(terms, loads, True, held)
        return LimitTarget(terms, target(terms, of_model, loads, self._gateways, held is not None))

    def _decide(self, at: int) -> None:
        """Ask the controller what to write now, as the manager's loop does."""
        now = at / NANOS
        wanted = self._wanted(self._held)
        self._note(wanted, at)
        seen = Observation(now, {IDENTITY: wanted}, frozenset(), {SLOT: self._live})
        decision, self._state = controller.decide(self._state, seen, now)
        if decision.writes:
            self._state = controller.written(self._state, decision.writes, now)
            self._write(decision.writes[SLOT], at)
            self._decide(at)
        elif decision.wake_at is not None:
            self._wake(max(at + 1, int(decision.wake_at * NANOS) + 1))

    def _wake(self, at: int) -> None:
        if at not in self._wakes:
            self._wakes.add(at)
            self._at(at, self._decide)

    def _note(self, wanted: LimitTarget, at: int) -> None:
        """Note a change of the target, to measure later how long it took; closing and opening wait for nothing else."""
        told = (wanted.target.bucket, wanted.target.total.closed)
        self._outcome.series.capacity_is(at, capacity(wanted.target.loads))
        if told == self._told:
            return
        if told[1] != self._told[1]:
            self._at(at + self._lag, lambda _: self._closed_is(told[1]))
        self._told = told
        if told[0] is not None:
            self._outcome.wanted(at, told[0].rate * self._gateways)

    def _closed_is(self, closed: bool) -> None:
        self._fleet.closed = closed

    @property
    def _lag(self) -> int:
        return int(seconds(self._scenario.time_to_effect) * NANOS)

    def _write(self, limits: controller.Limits, at: int) -> None:
        self._live = limits
        ((_, bucket),) = limits
        self._outcome.writes += 1
        self._held = bucket.rate * self._gateways
        self._at(at + self._lag, lambda then: self._refill(bucket, then, own=True))

    def _refill(self, bucket: Bucket, at: int, own: bool = False) -> None:
        self._fleet.rewrite(bucket, at)
        self._outcome.refilled(bucket, len(self._fleet.pods), self._scenario.terms.burst)
        if own:
            self._outcome.enforced(at, bucket.rate * self._gateways)

    def _request(self, at: int, pod: SimulatedPod) -> None:
        admitted, ideal = pod.real.take(at), pod.ideal.take(at)
        self._outcome.answered(at, admitted, ideal, self._fleet.closed)
        if self._scaled is not None:
            self._scaled.rows.count(at, 1, admitted and not self._fleet.closed)

    def _in_turn(self) -> Callable[[int], SimulatedPod]:
        return lambda number: self._fleet.pods[number % len(self._fleet.pods)]

    def _skewed(self) -> Callable[[int], SimulatedPod]:
        """Choose pods by their shares, as evenly as whole requests allow (smooth weighted round robin)."""
        weights = [Fraction(str(share)) for share in self._scenario.connection_skew]
        whole = sum(weights)
        scale = lcm(*(weight.denominator for weight in weights))
        units = [int(weight * scale) for weight in weights]
        credit, everything = [0] * len(units), int(whole * scale)

        def choose(_: int) -> SimulatedPod:
            for place, unit in enumerate(units):
                credit[place] += unit
            best = max(range(len(units)), key=credit.__getitem__)
            credit[best] -= everything
            return self._fleet.pods[best]

        return choose


def simulate(scenario: Scenario, trace: Trace, progress: Tell = lambda _: None) -> SimulationOutcome:
    """Return what the limit would have done to the trace."""
    return Simulation(scenario, trace, progress).run()
