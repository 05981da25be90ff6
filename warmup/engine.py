"""The engine: takes one replica through its plan, and returns the outcome. The same for the gate, the agent, the CLI.

native readiness ──> what the server says of its inputs ──> each case, each batch size, until it passes
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import Literal, Protocol

from istio_templates.documents.fields import seconds
from istio_templates.errors import Invalid, Problem
from warmup.plans.bundle import Bundle
from warmup.plans.request_compiler import Call, Compiled, compiled, is_open, reflected
from warmup.plans.success import CaseCounts
from warmup.plans.tensors import Described
from warmup.protocols import Dialect, Server, Unencodable, dialect_of
from warmup.protocols.plain_grpc import files_in_answer
from warmup.wire import Answer, Fault, Request, ServerConnection

AFTER_FAILURE = 0.1  # seconds between a failed call and the next of the same worker: a hot loop helps no one
SAID = 500  # characters
ASKING = 5.0  # seconds that a question for readiness or metadata may take

Result = Literal["Verified", "NotFastEnough", "TimedOut", "PlanWrong"]
State = Literal["WaitingForServer", "Warming"]


_COMPILER = ThreadPoolExecutor(1, thread_name_prefix="tidegate-compiler")
"""One plan after another: side by side they would take all the time that the event loop has."""


async def _beside(make: Callable[[], Compiled]) -> Compiled:
    return await asyncio.get_running_loop().run_in_executor(_COMPILER, make)


class EngineClock(Protocol):
    """The monotonic clock."""

    def now(self) -> float:
        """Return seconds since some moment, never going back."""


@dataclass(frozen=True, slots=True)
class CaseResult:
    """Result of one case at one batch size; latencies in seconds."""

    case: str
    batch: int
    calls: int
    failures: int
    first: float | None
    last: float | None
    latency: float | None
    state: Literal["passed", "running", "failed"]
    said: str = ""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a replica has come."""

    state: State
    seconds: float
    rows: tuple[CaseResult, ...] = ()
    said: str = ""


@dataclass(frozen=True, slots=True)
class WarmupOutcome:
    """Outcome of a replica's warm-up, and why."""

    result: Result
    said: str
    rows: tuple[CaseResult, ...] = ()
    seconds: float = 0.0

    @property
    def requests(self) -> int:
        """Return how many requests were answered or failed."""
        return sum(row.calls for row in self.rows)

    @property
    def latency(self) -> float | None:
        """Return the slowest case's latency, as its plan asks about it."""
        return max((row.latency for row in self.rows if row.latency is not None), default=None)


class _Ended(Exception):
    """The warm-up is over before its last case."""

    def __init__(self, result: Result, said: str) -> None:
        self.result = result
        super().__init__(said)


@dataclass(slots=True)
class _Run:
    bundle: Bundle
    client: ServerConnection
    clock: EngineClock
    tell: Callable[[Progress], None]
    started: float
    rows: list[CaseResult] = field(default_factory=list)
    place: AbstractAsyncContextManager[None] | None = None
    said: str = ""
    state: State = "WaitingForServer"

    async def all(self, limit: asyncio.Timeout) -> None:
        """Take the replica through everything within `limit`; raises `_Ended` where it does not pass."""
        dialect, server = await self._ready()
        async with self._turn(limit):
            plan = await self._made(dialect, server)
            self.state = "Warming"
            self._told("")
            for call in plan.calls:
                await self._case(plan, call)

    async def prepare(self) -> Compiled:
        """Wait until the server is ready, and make the requests; raises `_Ended` where that cannot be."""
        return await self._made(*await self._ready())

    @asynccontextmanager
    async def _turn(self, limit: asyncio.Timeout) -> AsyncIterator[None]:
        """Hold a place; while it is waited for, the plan's time stands still."""
        ends = limit.when()
        loop = asyncio.get_running_loop()
        left = None if ends is None else ends - loop.time()
        self._told("the server is ready; waits for its turn")
        limit.reschedule(None)
        async with self.place or nullcontext():
            limit.reschedule(None if left is None else loop.time() + left)
            yield

    async def _ready(self) -> tuple[Dialect, Server]:
        try:
            dialect = dialect_of(self.bundle.spec.target, self.bundle.files)
        except Unencodable as error:
            raise _Ended("PlanWrong", str(error)) from error
        await self._until_ready(dialect, self.bundle.server)
        return dialect, self.bundle.server

    async def _made(self, dialect: Dialect, server: Server) -> Compiled:
        try:
            return await self._compiled(dialect, server)
        except Unencodable as error:
            raise _Ended("PlanWrong", str(error)) from error
        except Invalid as error:
            raise _Ended("PlanWrong", "; ".join(map(str, error.problems))) from error

    async def _until_ready(self, dialect: Dialect, server: Server) -> None:
        asked = dialect.ready(server)
        pause = max(0.05, float(seconds(self.bundle.spec.ready.interval)))
        while True:
            self._told("waiting for the server to be ready")
            if asked is None:
                if await self.client.connects(ASKING):
                    return
            else:
                answer = await self.client.send(asked, ASKING)
                if dialect.is_ready(server, answer):
                    return
                self._told(answer.fault.said if answer.fault else "the server says that it is not ready")
            await asyncio.sleep(pause)

    async def _compiled(self, dialect: Dialect, server: Server) -> Compiled:
        asked = dialect.describe(server) if is_open(self.bundle) else ()
        if not asked:
            return await _beside(partial(compiled, self.bundle))
        answer = await self._insist(asked)
        if self.bundle.spec.target.protocol == "grpc":
            return await _beside(partial(compiled, self.bundle, dialect=reflected(files_in_answer(answer.body))))
        return await _beside(partial(compiled, self.bundle, self._described(dialect, server, answer)))

    def _described(self, dialect: Dialect, server: Server, answer: Answer) -> dict[str, Described]:
        try:
            return dict(dialect.described(server, answer.body))
        except (ValueError, OverflowError, RecursionError, Unencodable) as error:
            raise Unencodable(f"what the server says of its inputs is no use: {error}; give dtype and shape") from error

    async def _insist(self, forms: tuple[Request, ...]) -> Answer:
        """Ask until there is an answer; where no form of the question is known, the plan has to say it."""
        form = 0
        while True:
            answer = await self.client.send(forms[form], ASKING)
            if answer.fault is None:
                return answer
            self._told(answer.fault.said)
            if answer.fault.kind == "plan" and form + 1 < len(forms):
                form += 1
                continue
            if answer.fault.kind == "plan":
                raise Unencodable(
                    f"the server does not describe its inputs: {answer.fault.said}; give them in the plan"
                )
            await asyncio.sleep(1)

    async def _case(self, plan: Compiled, call: Call) -> None:
        load, success = self.bundle.spec.load, self.bundle.spec.success
        tally, began = CaseCounts(load, success), self.clock.now()
        place = len(self.rows)
        self.rows.append(_row(call, tally, "running"))
        pace = _Pace(self.clock, load.rate)
        wrong: list[Fault] = []

        async def worker() -> None:
            while not wrong and tally.verdict(self.clock.now() - began) is None:
                await pace.turn()
                fault = await self._one(plan, call, tally)
                self.rows[place] = _row(call, tally, "running")
                self._told("")
                if fault and fault.kind == "plan":
                    wrong.append(fault)
                elif fault:
                    await asyncio.sleep(AFTER_FAILURE)

        async with asyncio.TaskGroup() as group:
            for _ in range(load.concurrency):
                group.create_task(worker())
        passed = not wrong and tally.verdict(self.clock.now() - began) == "passed"
        said = plain(wrong[0].said) if wrong else "" if passed else tally.objection() or ""
        self.rows[place] = _row(call, tally, "passed" if passed else "failed", said)
        if wrong:
            raise _Ended("PlanWrong", f"case {call.case}, batch {call.batch}: {said}; correct the plan")
        if not passed:
            raise _Ended("NotFastEnough", f"case {call.case}, batch {call.batch} after {tally.calls} requests: {said}")

    async def _one(self, plan: Compiled, call: Call, tally: CaseCounts) -> Fault | None:
        request = call.requests[tally.calls % len(call.requests)]
        sent = self.clock.now()
        answer = await self.client.send(request, float(seconds(self.bundle.spec.load.per_request_timeout)))
        took = self.clock.now() - sent
        fault = fault_in(answer, self.bundle, plan)
        tally.add(None if fault else took, plain(fault.said) if fault else "")
        return fault

    def _told(self, said: str) -> None:
        said = plain(said)
        self.said = said
        self.tell(Progress(self.state, self.clock.now() - self.started, tuple(self.rows), said))


class _Pace:
    """Lets calls go no faster than `rate` a second, evenly."""

    def __init__(self, clock: EngineClock, rate: float | None) -> None:
        self._clock, self._gap = clock, 1 / rate if rate else 0.0
        self._next = clock.now()

    async def turn(self) -> None:
        if self._gap:
            now = self._clock.now()
            at = max(self._next, now)
            self._next = at + self._gap
            await asyncio.sleep(at - now)


async def warm(
    bundle: Bundle,
    client: ServerConnection,
    clock: EngineClock,
    tell: Callable[[Progress], None],
    place: AbstractAsyncContextManager[None] | None = None,
) -> WarmupOutcome:
    """Take a replica through a plan; `tell` is called with every step. Ends within the plan's timeout.

    `place` is held while the requests are made and sent: so many replicas are warmed at once, and no more. Waiting for
    it takes nothing from the plan's time.
    """
    started = clock.now()
    run = _Run(bundle, client, clock, tell, started, place=place)
    try:
        async with asyncio.timeout(float(seconds(bundle.spec.timeout))) as limit:
            await run.all(limit)
        result: Result = "Verified"
        said = f"{len(run.rows)} cases passed"
    except _Ended as ended:
        result, said = ended.result, plain(str(ended))
    except TimeoutError:
        result, said = "TimedOut", f"after {bundle.spec.timeout}: {_last(run)}"
    return WarmupOutcome(result, said, tuple(run.rows), clock.now() - started)


async def prepared(bundle: Bundle, client: ServerConnection, clock: EngineClock) -> Compiled:
    """Wait until a server is ready and return the plan's requests for it; raises `Invalid` where there are none."""
    run = _Run(bundle, client, clock, lambda _: None, clock.now())
    try:
        async with asyncio.timeout(float(seconds(bundle.spec.timeout))):
            return await run.prepare()
    except _Ended as ended:
        raise Invalid(f"warm-up plan of {bundle.model}", [Problem("", str(ended))]) from ended
    except TimeoutError as error:
        said = f"after {bundle.spec.timeout}: {_last(run)}; look at the server"
        raise Invalid(f"warm-up plan of {bundle.model}", [Problem("", said)]) from error


def fault_in(answer: Answer, bundle: Bundle, plan: Compiled) -> Fault | None:
    """Return what was wrong with a call: that it failed, or what the plan's check has against its answer."""
    if answer.fault is not None:
        return answer.fault
    try:
        objection = plan.dialect.objection(plan.server, bundle.spec.success.check, answer.body)
    except (RecursionError, OverflowError, ValueError) as error:
        objection = f"the answer cannot be read ({type(error).__name__})"
    return Fault("passing", objection) if objection else None


def plain(said: str) -> str:
    """Return words, some of which a server may have chosen, fit for every message: short, and text."""
    text = said.encode("utf-8", "replace").decode()
    return text if len(text) <= SAID else f"{text[:SAID]}..."


def _last(run: _Run) -> str:
    if run.state == "WaitingForServer":
        return f"the server was not ready ({run.said})"
    row = run.rows[-1]
    return f"case {row.case}, batch {row.batch} had not passed ({row.said or 'it was still running'})"


def _row(call: Call, tally: CaseCounts, state: Literal["passed", "running", "failed"], said: str = "") -> CaseResult:
    objection = said or (tally.objection() or "" if state == "running" else "")
    latency = tally.latency()
    return CaseResult(
        call.case, call.batch, tally.calls, tally.failures, tally.first, tally.last, latency, state, objection
    )
