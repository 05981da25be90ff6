"""`POST /v1/simulate`: limits against a trace, tried in a thread so that nobody else waits for it."""

import asyncio
from typing import Annotated

from fastapi import Depends, FastAPI, Response

from istio_templates.errors import Invalid, Problem
from istio_templates.facts import Manifest
from k8s_manager.api.openapi import described
from k8s_manager.api.problems import TooMany
from k8s_manager.api.request_body import body_of
from k8s_manager.api.responses import in_json
from k8s_manager.api.schemas.bodies import SimulationBody
from k8s_manager.api.schemas.simulations import SimulationReport
from ratelimiter.simulation import scenario, trace
from ratelimiter.simulation.run import simulate

MOST_REQUESTS = 200_000  # half a second of one core, which the manager can spare
MOST_WAITING = 4
SUBJECT = "the simulation"


def add(app: FastAPI) -> None:
    """Add the route."""
    turns = _Turns()

    @app.post(
        "/v1/simulate",
        summary="What a limit would do to a traffic trace. Nothing is written.",
        tags=["Limits"],
        name="simulate",
        openapi_extra=described(SimulationBody),
        response_model=SimulationReport,
    )
    async def simulated(body: Annotated[SimulationBody, Depends(body_of(SimulationBody, SUBJECT))]) -> Response:
        return in_json(await turns.of(body))


class _Turns:
    """One simulation after another: each takes a core from limits as long as it runs."""

    def __init__(self) -> None:
        self._turn, self._there = asyncio.Semaphore(1), 0

    async def of(self, body: SimulationBody) -> Manifest:
        """Return what a simulation tells; raises `TooMany` where enough wait."""
        if self._there > MOST_WAITING:
            raise TooMany("enough simulations are waiting; try again, or use `tidegate simulate`", 2)
        self._there += 1
        try:
            async with self._turn:
                return await asyncio.to_thread(_told, body)
        finally:
            self._there -= 1


def _told(body: SimulationBody) -> Manifest:
    traffic = trace.of_rows(enumerate(body.trace), "trace")
    settings = scenario.read(body.settings, "settings")
    total = sum(row.requests for row in traffic.rows)
    if settings.effort(total, traffic.ends - traffic.starts) > MOST_REQUESTS:
        message = f"has {total} requests; at most {MOST_REQUESTS} (or as many rewrites) are tried here"
        raise Invalid(SUBJECT, [Problem("trace", f"{message}, more by `tidegate simulate`")])
    outcome = simulate(settings, traffic)
    return {**outcome.figures(), "series": outcome.series.rows()}
