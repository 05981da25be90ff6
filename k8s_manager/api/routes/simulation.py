"""`POST /v1/simulate`: limits against a trace, tried in a thread so that nobody else waits for it."""

import asyncio

from fastapi import FastAPI, Request, Response

from istio_templates.errors import Invalid, Problem
from istio_templates.facts import Manifest
from k8s_manager.api.openapi import BODIES
from k8s_manager.api.problems import TooMany
from k8s_manager.api.request_body import mapping
from k8s_manager.api.responses import in_json
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
        openapi_extra=BODIES["simulate"],
    )
    async def simulated(request: Request) -> Response:
        body = await mapping(request)
        told = await turns.of(body)
        return in_json(told)


class _Turns:
    """One simulation after another: each takes a core from limits as long as it runs."""

    def __init__(self) -> None:
        self._turn, self._there = asyncio.Semaphore(1), 0

    async def of(self, body: Manifest) -> Manifest:
        """Return what a simulation tells; raises `TooMany` where enough wait."""
        if self._there > MOST_WAITING:
            raise TooMany("enough simulations are waiting; try again, or use `tidegate simulate`", 2)
        self._there += 1
        try:
            async with self._turn:
                return await asyncio.to_thread(_told, body)
        finally:
            self._there -= 1


def _told(body: Manifest) -> Manifest:
    if unknown := body.keys() - {"settings", "trace"}:
        raise Invalid(SUBJECT, [Problem(sorted(unknown)[0], "is unknown; send settings and trace")])
    rows = body.get("trace")
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise Invalid(SUBJECT, [Problem("trace", 'is no list of rows such as {"time": 0, "requests": 40}')])
    traffic = trace.of_rows(enumerate(rows), "trace")
    settings = scenario.read(body.get("settings"), "settings")
    total = sum(row.requests for row in traffic.rows)
    if settings.effort(total, traffic.ends - traffic.starts) > MOST_REQUESTS:
        message = f"has {total} requests; at most {MOST_REQUESTS} (or as many rewrites) are tried here"
        raise Invalid(SUBJECT, [Problem("trace", f"{message}, more by `tidegate simulate`")])
    outcome = simulate(settings, traffic)
    return {**outcome.figures(), "series": outcome.series.rows()}
