"""One run of a scene: a cluster, a manager that is started again where it dies, a script, and what came of it."""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, cast

import aiohttp

from istio_templates.facts import Manifest
from istio_templates.names import is_marked
from k8s_manager.history import revision
from k8s_manager.kube.client import KubeClient
from k8s_manager.manager import Manager, assemble
from k8s_manager.manager import until as run_parts
from k8s_manager.runtime.settings import Settings
from k8s_manager.world.installation import SYSTEM
from tests.faults.branch import Branch
from tests.faults.cluster import Cluster
from tests.faults.end_state import State, end_state, name_of
from tests.faults.injection import Injection, Injector
from tests.faults.simulation import SimulatedClock, SimulatedLoop, Stuck, simulate, until
from tests.faults.transport import Transport
from tests.support.demand import SetDemand
from tests.support.registered_models import RegistryInMemory
from tests.support.steady_outcomes import SteadyOutcomes

OVERLAP_SECONDS, RESTART_SECONDS, QUIET_SECONDS, LONGEST_SECONDS = 12.0, 1.0, 35.0, 2000.0
"""`QUIET_SECONDS` is longer than a call may hang."""
PREPARED_SECONDS = 5.0
DEMAND = SetDemand(100.0)
SETTINGS = Settings(audit="off", gateway_overlap=OVERLAP_SECONDS, identity="first")


class Run:
    """What a script has in its hands."""

    def __init__(self, loop: SimulatedLoop, injector: Injector, settings: Settings) -> None:
        self.loop, self.injector, self.settings = loop, injector, settings
        self.cluster, self.branch, self.registry = Cluster(loop), Branch(), RegistryInMemory()
        self.calls: Counter[tuple[str, str]] = Counter()
        self.transport: Transport | None = None
        self.deaths = 0
        self.crashes: list[str] = []
        self.manager: Manager | None = None

    async def keep_running(self) -> None:
        """Run a manager, and another one whenever it dies, until cancelled."""
        while True:
            transport, clock = Transport(self.cluster, self.injector), SimulatedClock(self.loop)
            client = KubeClient("http://cluster", cast(aiohttp.ClientSession, transport))
            self.transport = transport
            remote, outcomes = self.branch.remote(transport), SteadyOutcomes(clock)
            parts = (client, clock, self.settings, remote, DEMAND, outcomes)
            self.manager = assemble(*parts, registry=self.registry)
            try:
                await run_parts(transport.died, *self.manager.parts())
            except Exception as error:
                self.crashes.append(repr(error))
            finally:
                transport.cut()
                self.calls += transport.calls
            self.deaths += 1
            await asyncio.sleep(RESTART_SECONDS)

    def calls_so_far(self) -> Counter[tuple[str, str]]:
        """Return the calls of all managers by verb and kind."""
        return self.calls + (self.transport.calls if self.transport else Counter())

    async def until(self, look: Callable[[], Awaitable[Any] | Any], what: str, seconds: float = 200.0) -> None:
        """Wait in simulated time for something that a manager does."""
        await until(look, what, seconds)

    async def attempt(self, call: Callable[[Manager], Awaitable[Any]]) -> None:
        """Have an operator call the API, until it answers, the manager dies or 20 s have passed; and wait a little."""
        manager = self.manager
        assert manager is not None
        answer = asyncio.ensure_future(call(manager))
        for _ in range(200):
            await asyncio.sleep(0.1)
            if answer.done() or manager is not self.manager:
                break
        answer.cancel()
        await asyncio.gather(answer, return_exceptions=True)
        await asyncio.sleep(5)

    async def programmed(self, name: str = "ranker", namespace: str = "search") -> None:
        """Wait until a model's present generation is programmed."""

        def is_so() -> bool:
            found = self.cluster.get("Model", name, namespace)
            condition = self.cluster.condition("Model", name, "Programmed", namespace)
            is_now = found is not None and condition.get("observedGeneration") == found["metadata"]["generation"]
            return is_now and condition.get("status") == "True"

        await self.until(is_so, f"model {name} being programmed")

    async def limited(self, total: int, name: str = "ranker", namespace: str = "search") -> None:
        """Wait until a model's limit is so many requests a second."""

        def is_so() -> bool:
            status: Manifest = (self.cluster.get("Model", name, namespace) or {}).get("status") or {}
            return bool(status.get("limit", {}).get("total") == total)

        await self.until(is_so, f"model {name} having the limit {total}/s")

    async def recorded(self, kind: str, name: str, namespace: str = "") -> None:
        """Wait until a document's present generation is in its history."""

        def is_so() -> bool:
            found = self.cluster.get(kind, name, namespace) or {}
            return self.cluster.get("ControllerRevision", revision.name_of(found), namespace or SYSTEM) is not None

        await self.until(is_so, f"{kind} {name} being recorded")

    async def gone(self, kind: str, name: str, namespace: str = "") -> None:
        """Wait until an object is gone."""
        await self.until(lambda: self.cluster.get(kind, name, namespace) is None, f"{kind} {name} being gone")

    async def apply(self, *documents: Manifest) -> None:
        """Apply documents, as soon as their namespaces are there."""
        for document in documents:
            namespace = document["metadata"].get("namespace")
            if namespace:
                await self.until(lambda n=namespace: self.cluster.get("Namespace", n), f"namespace {namespace}")
            self.cluster.apply(document)

    async def settled(self, seconds: float = QUIET_SECONDS) -> float:
        """Wait until nothing is written, no call hangs and no manager dies for so long; return when the last write was
        made."""
        count, deaths = len(self.cluster.writes), self.deaths
        last = written = self.loop.time()
        while self.loop.time() < last + seconds:
            await asyncio.sleep(0.5)
            if len(self.cluster.writes) != count:
                count, last = len(self.cluster.writes), self.loop.time()
                written = last
            if self.deaths != deaths or self.injector.under_way:
                deaths, last = self.deaths, self.loop.time()
            if last > LONGEST_SECONDS:
                raise Stuck(f"after {last:.0f} s something is still written every {seconds:g} s")
        return written


Script = Callable[[Run], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Scene:
    """A workflow: what is there before it, what people do, the settings of the manager, for how many seconds nothing is
    written at its end, for how many a status counts on after a manager has begun, and how much later than usual the
    manager itself goes on after a fault."""

    name: str
    prepare: Script
    script: Script
    settings: Settings = SETTINGS
    quiet: float = QUIET_SECONDS
    counting: float = 0.0
    later: float = 0.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a run. `ended` and `settled` are when the last fault and the last write were (simulated seconds)."""

    state: State = field(default_factory=dict)
    writes: Counter[str] = field(default_factory=Counter)
    states: dict[str, list[str]] = field(default_factory=dict)
    deleted: frozenset[str] = frozenset()
    made: int = 0
    calls: Counter[tuple[str, str]] = field(default_factory=Counter)
    script_calls: Counter[tuple[str, str]] = field(default_factory=Counter)
    hits: int = 0
    deaths: int = 0
    crashes: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()
    began: float = 0.0
    ended: float = 0.0
    settled: float = 0.0
    stuck: str = ""


def play(scene: Scene, injections: tuple[Injection, ...] = (), seed: int = 1) -> Outcome:
    """Run a scene with what goes wrong in it, and return what came of it."""
    with _errors() as errors:
        outcome = simulate(lambda loop: _play(loop, scene, injections), seed, SimulatedLoop)
    return replace(outcome, errors=tuple(errors))


async def _play(loop: SimulatedLoop, scene: Scene, injections: tuple[Injection, ...]) -> Outcome:
    run = Run(loop, Injector(injections), scene.settings)
    parts = (run.cluster.run_pods(), run.branch.run_tool(run.cluster), run.keep_running())
    tasks = [asyncio.ensure_future(part) for part in parts]
    stuck, settled, began, before, prepared = "", 0.0, 0.0, 0, Counter[tuple[str, str]]()
    run.injector.is_armed = False
    try:
        await scene.prepare(run)
        await run.settled(PREPARED_SECONDS)
        run.injector.is_armed = True
        if run.injector.concerns_watches:
            run.cluster.break_watches()
        began, before, prepared = loop.time(), len(run.cluster.writes), run.calls_so_far()
        await scene.script(run)
        settled = await run.settled(scene.quiet)
    except Stuck as error:
        stuck = str(error)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return Outcome(
        end_state(run.cluster, run.branch.files),
        _written(run.cluster, before),
        _states(run.cluster, before),
        frozenset(name_of(change.before or {}) for change in run.cluster.writes[before:] if change.after is None),
        run.injector.writes,
        run.calls,
        run.calls - prepared,
        run.injector.hits,
        run.deaths,
        tuple(run.crashes),
        (),
        began,
        run.injector.ended,
        settled,
        stuck,
    )


def _written(cluster: Cluster, first: int) -> Counter[str]:
    """Return how often each object was written from a write on."""
    return Counter(name_of(change.after or change.before or {}) for change in cluster.writes[first:])


def _states(cluster: Cluster, first: int) -> dict[str, list[str]]:
    """Return the specs that each rendered object has had from a write on, one after the other."""
    found: dict[str, list[str]] = {}
    for change in cluster.writes[first:]:
        if change.after and is_marked(change.after):
            states = found.setdefault(name_of(change.after), [])
            spec = repr(change.after.get("spec"))
            if not states or states[-1] != spec:
                states.append(spec)
    return found


@contextmanager
def _errors() -> Iterator[list[str]]:
    """Collect what is logged as an error meanwhile: what nobody foresaw."""
    found: list[str] = []

    class Collector(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            found.append(record.getMessage())

    handler, root = Collector(logging.ERROR), logging.getLogger()
    root.addHandler(handler)
    try:
        yield found
    finally:
        root.removeHandler(handler)
