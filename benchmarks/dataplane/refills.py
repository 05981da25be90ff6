"""What rewrites of slots cost: every bucket in a rewritten slot is full again. Measured at one real Envoy.

First one slot rewritten as often as it may be, then another one, then 3,000 models of which 5 % change their replicas
each minute, slots written when the real controller says so. Beside them the usual way, a bucket on the route.
"""

import asyncio
import random
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import orjson

from benchmarks.dataplane.isolation import per_route
from benchmarks.support.report import Figure, at_most, plain
from benchmarks.support.route_limit import HOST, POOL, with_slots
from istio_templates import names
from istio_templates.catalog import render_slot
from istio_templates.facts import Bucket, SlotFacts
from k8s_manager.standalone.translator.snapshot import EXTENSION, Snapshot
from ratelimiter import controller
from ratelimiter.capacity import LimitBounds, VersionLoad
from ratelimiter.controller import Limits, LimitState, LimitTarget, Observation, Slot
from ratelimiter.debounce import DebounceWindow, Rules
from ratelimiter.target import Terms, Total, target
from tests.support.envoy import EnvoyUnderTest, running_envoy
from tests.support.standalone import offer

RATES = (1, 20, 200)  # requests/s of one gateway pod
MODELS, CHANGING = 3000, 0.05
DEFAULT = Rules(DebounceWindow(0.2, 1.0), DebounceWindow(5.0, 30.0))
ETCD_LIMIT = 1.5e6
Writes = list[tuple[float, Mapping[Slot, Limits]]]


async def run(quick: bool) -> list[Figure]:
    """Measure each in turn on one Envoy."""
    seconds = 3 if quick else 20
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory() as folder:
        async with running_envoy(Path(folder)) as envoy:
            figures += await _one_slot(envoy, seconds)
            for rate in RATES[1:2] if quick else RATES:
                figures.append(await _peer(envoy, rate, seconds))
            figures += await _fleet(envoy, 300 if quick else MODELS, 5 if quick else 60)
    return figures


@dataclass(slots=True)
class Gateway:
    """A gateway whose route belongs to model `ranker`, with the slots that it has now."""

    envoy: EnvoyUnderTest
    slots: dict[int, Limits]

    async def load(self) -> None:
        """Make everything anew."""
        await self.envoy.load(self._snapshot())

    def write(self, slots: Mapping[int, Limits]) -> None:
        """Push some slots, and nothing else."""
        self.slots |= slots
        made = self._snapshot()
        self.envoy.snapshot = {**self.envoy.snapshot, EXTENSION: made[EXTENSION]}
        self.envoy.ads.changed()

    def _snapshot(self) -> Snapshot:
        return with_slots(self.envoy, self.slots, {f"rate-{rate}": f"/rate-{rate}/" for rate in RATES})


def _bucket(rate: int) -> Bucket:
    return Bucket(rate, 1, max(2, rate // 10))


MEASURED: Limits = tuple((names.identity("search", f"rate-{rate}"), _bucket(rate)) for rate in RATES)


async def _one_slot(envoy: EnvoyUnderTest, seconds: int) -> list[Figure]:
    """Rewrite the own slot once a second, then another slot; what is measured stays as it is."""
    gateway = Gateway(envoy, {9: MEASURED})
    rest = await _admitted(gateway, seconds, [])
    changes = [Bucket(10 + number, 1, 2) for number in range(seconds - 1)]
    neighbour = names.identity("search", "neighbour")
    own = await _admitted(gateway, seconds, [{9: (*MEASURED, (neighbour, bucket))} for bucket in changes])
    gateway.slots[9] = MEASURED
    other = await _admitted(gateway, seconds, [{10: ((neighbour, bucket),)} for bucket in changes])
    figures = []
    for rate in RATES:
        bound = len(changes) * _bucket(rate).burst / (rate * seconds) * 100
        what = f"{rate}/s, its slot rewritten once a second: more than at rest"
        figures.append(at_most(what, _more(own[rate], rest[rate]), bound, " %"))
        what = f"{rate}/s, another slot rewritten once a second: more than at rest"
        figures.append(at_most(what, _more(other[rate], rest[rate]), _one_per_cent(rate, seconds), " %"))
    return figures


def _one_per_cent(rate: int, seconds: float) -> float:
    """Return 1 %, or what one request is where that is more."""
    return max(1.0, 100 / (rate * seconds))


def _more(admitted: int, rest: int) -> float:
    return (admitted / rest - 1) * 100


async def _admitted(gateway: Gateway, seconds: int, writes: Sequence[Mapping[int, Limits]]) -> dict[int, int]:
    """Return what is admitted of far too much at each rate, while a slot is written each second."""
    timed = [(1.0 + number, made) for number, made in enumerate(writes)]
    return await _replayed(gateway, seconds, timed)


async def _replayed(
    gateway: Gateway, seconds: int, writes: Sequence[tuple[float, Mapping[int, Limits]]]
) -> dict[int, int]:
    await gateway.load()
    await asyncio.sleep(0.2)

    async def stir() -> None:
        started = time.monotonic()
        for at, made in writes:
            await asyncio.sleep(max(0.0, started + at - time.monotonic()))
            gateway.write(made)

    *loads, _ = await asyncio.gather(*(_load(gateway.envoy, rate, seconds) for rate in RATES), stir())
    return dict(zip(RATES, loads, strict=True))


async def _load(envoy: EnvoyUnderTest, rate: int, seconds: int) -> int:
    load = await offer([f"{envoy.address}:8080"], 3 * rate + 10, seconds, HOST, f"/rate-{rate}/")
    assert not load.errors, load.errors[:3]
    return load.answers[200]


async def _peer(envoy: EnvoyUnderTest, rate: int, seconds: int) -> Figure:
    """Return how far a bucket on the route strays when another route changes once a second."""
    admitted = []
    for changes in (0, seconds - 1):
        await envoy.load(per_route(envoy, 0, rate))

        async def stir(number: int = changes) -> None:
            for index in range(number):
                await asyncio.sleep(1)
                envoy.snapshot = per_route(envoy, index + 1, rate)
                envoy.ads.changed()

        load, _ = await asyncio.gather(
            offer([f"{envoy.address}:8080"], 3 * rate + 10, seconds, HOST, "/limited"), stir()
        )
        admitted.append(load.answers[200])
    more = f"{_more(admitted[1], admitted[0]):+.0f} %"
    return plain(f"peer at {rate}/s: a bucket of 1 s on the route, another route changing once a second", more)


async def _fleet(envoy: EnvoyUnderTest, models: int, seconds: int) -> list[Figure]:
    """Replay what the controller writes for so many models, in real time; measure in the busiest slot of each kind."""
    fleet = Fleet(models, random.Random(1))
    first, writes = fleet.writes(seconds)
    figures = _figures(fleet, first, writes, seconds)
    counts = Counter(slot for _, made in writes for slot in made)
    for kind, restless in (("restless", True), ("quiet", False)):
        busy = fleet.busiest(counts, restless)
        held = _with_measured({number: limits for (_, number), limits in first.items()}, busy)
        timed = [(at, _with_measured({slot[1]: limits for slot, limits in made.items()}, busy)) for at, made in writes]
        rest = await _admitted(Gateway(envoy, dict(held)), seconds, [])
        found = await _replayed(Gateway(envoy, dict(held)), seconds, timed)
        times = counts["shared", busy]
        for rate in RATES:
            bound = max(_one_per_cent(rate, seconds), times * _bucket(rate).burst / (rate * seconds) * 100)
            what = (
                f"{models} models, 5 % change a minute: a {kind} one at {rate}/s ({times} rewrites), more than at rest"
            )
            figures.append(at_most(what, _more(found[rate], rest[rate]), bound, " %"))
    return figures


def _with_measured(slots: dict[int, Limits], busy: int) -> dict[int, Limits]:
    return {number: (*limits, *MEASURED) if number == busy else limits for number, limits in slots.items()}


def _figures(fleet: "Fleet", first: Mapping[Slot, Limits], writes: Writes, seconds: int) -> list[Figure]:
    largest = max((limits for limits in first.values()), key=len)
    (obj,) = render_slot(SlotFacts(POOL, 9, largest))
    gaps, last = [], dict[Slot, float]()
    for at, made in writes:
        gaps += [at - last[slot] for slot in made if slot in last]
        last |= dict.fromkeys(made, at)
    total = sum(len(made) for _, made in writes)
    what, size = f"largest slot of {len(fleet.wanted)} models ({len(largest)} limits)", len(orjson.dumps(obj)) / 1e3
    pause = min(gaps, default=float("inf"))
    return [
        at_most(what, size, ETCD_LIMIT / 5e3, " kB", count=True),
        plain(f"changes and slot writes in {seconds} s", f"{fleet.changes} and {total}"),
        Figure("shortest pause between two writes of a slot", f"{pause:.2f} s", "at least 1 s", pause >= 0.999, True),
    ]


class Fleet:
    """Models whose replicas change as autoscalers change them: one in five is scaled by one, and makes all changes."""

    def __init__(self, models: int, rnd: random.Random) -> None:
        self._rnd = rnd
        self._replicas = {f"m{number}": rnd.randint(2, 8) for number in range(models)}
        self._each = {name: rnd.choice((1, 5, 20, 100)) for name in self._replicas}
        self._restless = [name for number, name in enumerate(self._replicas) if number % 5 == 0]
        self._terms = {name: self._terms_of(name) for name in self._replicas}
        self.wanted = {self._terms[name].identity: self._want(name) for name in self._replicas}
        self.changes = 0

    def _terms_of(self, name: str) -> Terms:
        restless = int(name[1:]) % 5 == 0
        place = ("fleet", name, "fleet", names.identity("fleet", name), ("shared",))
        return Terms(*place, LimitBounds(Fraction(1)), Fraction(1, 10), DEFAULT, "hold", "hold", restless=restless)

    def _want(self, name: str) -> LimitTarget:
        load = VersionLoad("v1", self._replicas[name], Fraction(self._each[name]), Fraction(1))
        total = Total(load.replicas * load.per_replica, Fraction(0), "Capacity")
        return LimitTarget(self._terms[name], target(self._terms[name], total, (load,), 2, False))

    def busiest(self, counts: Counter[Slot], restless: bool) -> int:
        """Return the slot of a kind that is written most often."""
        return max({t.slot for t in self._terms.values() if t.restless == restless}, key=lambda n: counts["shared", n])

    def writes(self, seconds: float) -> tuple[Mapping[Slot, Limits], Writes]:
        """Return the slots to begin with, and what the controller writes in so many seconds of changes."""
        state, live = LimitState(), dict[Slot, Limits]()
        decision, state = controller.decide(state, self._seen(0.0, live), 0.0)
        live |= decision.writes
        state, first, out, wake = controller.written(state, decision.writes, 0.0), dict(live), Writes(), None
        for now in self._moments(seconds):
            while wake is not None and wake < now:
                state, wake = self._step(state, live, wake, out)
            self._change()
            state, wake = self._step(state, live, now, out)
        return first, out

    def _moments(self, seconds: float) -> Iterator[float]:
        number = int(len(self._replicas) * CHANGING * seconds / 60)
        yield from sorted(self._rnd.uniform(1.0, seconds) for _ in range(number))

    def _change(self) -> None:
        name = self._rnd.choice(self._restless)
        step = self._rnd.choice((-1, 1))
        self._replicas[name] = min(10, max(1, self._replicas[name] + step))
        self.wanted = {**self.wanted, self._terms[name].identity: self._want(name)}
        self.changes += 1

    def _step(
        self, state: LimitState, live: dict[Slot, Limits], now: float, out: Writes
    ) -> tuple[LimitState, float | None]:
        decision, state = controller.decide(state, self._seen(now, live), now)
        if not decision.writes:
            return state, decision.wake_at
        out.append((now, decision.writes))
        live |= decision.writes
        state = controller.written(state, decision.writes, now)
        decision, state = controller.decide(state, self._seen(now, live), now)
        return state, decision.wake_at

    def _seen(self, now: float, live: Mapping[Slot, Limits]) -> Observation:
        return Observation(now, self.wanted, frozenset(), dict(live))
