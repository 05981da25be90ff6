"""The agent: a sidecar that warms the server beside it, and says whether the one that listens now is warm.

The model container's startup and readiness probes ask it, so that nothing outside the pod is needed. The agent keeps
its result in a file, which outlives the agent and counts for the incarnation of the server that it names.
"""

import asyncio
import json
import logging
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from aiohttp import web

from warmup.engine import EngineClock, Progress, WarmupOutcome, warm
from warmup.plans.bundle import Bundle
from warmup.wire import ServerConnection

log = logging.getLogger(__name__)
LOOK = 0.2  # seconds between two looks at who listens
PAUSE = 10.0  # seconds after a warm-up that failed


@dataclass(frozen=True, slots=True)
class Found:
    """What was found of an incarnation (the inodes of its sockets): how its warm-up ended, and why."""

    incarnation: tuple[str, ...]
    result: str
    said: str
    plan: str
    seconds: float = 0.0
    requests: int = 0


class Agent:
    """Warms whatever listens on the plan's port."""

    def __init__(
        self,
        bundle: Bundle,
        file: Path,
        clock: EngineClock,
        listening: Callable[[], frozenset[str]],
        connect: Callable[[], ServerConnection],
    ) -> None:
        self._bundle, self._file, self._clock = bundle, file, clock
        self._listening, self._connect = listening, connect
        self._found = _read(file)
        self._progress: Progress | None = None

    @property
    def ready(self) -> bool:
        """Tell whether the server that listens now may take requests."""
        now = tuple(sorted(self._listening()))
        found = self._found
        return bool(now) and found is not None and found.incarnation == now and self._opens(found.result)

    def status(self) -> dict[str, object]:
        """Return what is known, for people."""
        progress = self._progress
        return {
            "ready": self.ready,
            "plan": self._bundle.hash,
            "found": asdict(self._found) if self._found else None,
            "warming": None if progress is None else asdict(progress),
        }

    async def run(self) -> None:
        """Find servers that listen, and warm up each new one, until cancelled."""
        again_at = 0.0
        while True:
            now = tuple(sorted(self._listening()))
            known = self._found is not None and self._found.incarnation == now
            tried = known and (self._is_settled() or self._clock.now() < again_at)
            if now and not tried:
                await self._warm(now)
                again_at = self._clock.now() + PAUSE
            await asyncio.sleep(LOOK)

    def _is_settled(self) -> bool:
        assert self._found is not None
        return self._opens(self._found.result) or self._found.result == "PlanWrong"

    def _opens(self, result: str) -> bool:
        return result == "Verified" or (
            self._bundle.spec.on_timeout == "admit" and result in ("NotFastEnough", "TimedOut")
        )

    async def _warm(self, incarnation: tuple[str, ...]) -> None:
        """Warm one incarnation; what another one answered meanwhile counts for none."""
        log.info("a server listens that has not been warmed; warming it by plan %s", self._bundle.hash)
        warming = asyncio.create_task(self._outcome())
        try:
            while not warming.done():
                await asyncio.wait([warming], timeout=LOOK)
                if tuple(sorted(self._listening())) != incarnation:
                    log.info("another server listens now")
                    return
        finally:
            warming.cancel()
            await asyncio.gather(warming, return_exceptions=True)
            self._progress = None
        outcome = _outcome_of(warming)
        self._found = Found(
            incarnation, outcome.result, outcome.said, self._bundle.hash, round(outcome.seconds, 3), outcome.requests
        )
        _write(self._file, self._found)
        log.info("%s after %.1f s: %s", outcome.result, outcome.seconds, outcome.said)

    async def _outcome(self) -> WarmupOutcome:
        client = self._connect()

        def tell(progress: Progress) -> None:
            self._progress = progress

        try:
            return await warm(self._bundle, client, self._clock, tell)
        finally:
            await client.close()

    def app(self) -> web.Application:
        """Return what probes and people ask: `/ready` and `/status`."""

        async def ready(_: web.Request) -> web.Response:
            return web.Response(status=200 if self.ready else 503)

        async def status(_: web.Request) -> web.Response:
            return web.json_response(self.status())

        app = web.Application()
        app.router.add_get("/ready", ready)
        app.router.add_get("/status", status)
        return app


def _outcome_of(warming: "asyncio.Task[WarmupOutcome]") -> WarmupOutcome:
    """Return the outcome of a warm-up; one that raised an error is tried again."""
    error = warming.exception()
    if error is None:
        return warming.result()
    log.error("the warm-up itself failed", exc_info=error)
    return WarmupOutcome("TimedOut", f"the warm-up itself failed: {error!r}")


def _read(file: Path) -> Found | None:
    try:
        raw = json.loads(file.read_text())
        return Found(**{**raw, "incarnation": tuple(raw["incarnation"])})
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError) as error:
        log.warning("%s cannot be read (%s); the server is warmed again", file, error)
        return None


def _write(file: Path, found: Found) -> None:
    """Write so that a reader sees the old file or the new one, never half of it."""
    part = file.with_suffix(".part")
    part.write_text(json.dumps(asdict(found)))
    part.replace(file)
