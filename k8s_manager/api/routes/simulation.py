"""`POST /v1/simulate`: limits against a trace, tried beside the event loop, in the caller's turn."""

from typing import Annotated

from fastapi import Depends, Response

from istio_templates.errors import Invalid, Problem
from istio_templates.facts import Manifest
from k8s_manager.api.application_parts import Api, api_router
from k8s_manager.api.openapi import described
from k8s_manager.api.request_body import body_of
from k8s_manager.api.responses import in_json
from k8s_manager.api.schemas.bodies import SimulationBody
from k8s_manager.api.schemas.simulations import SimulationReport
from ratelimiter.simulation import scenario, trace
from ratelimiter.simulation.run import simulate

router = api_router()
MOST_REQUESTS = 200_000  # half a second of one core, which the manager can spare
SUBJECT = "the simulation"


@router.post(
    "/v1/simulate",
    summary="What a limit would do to a traffic trace. Nothing is written.",
    tags=["Limits"],
    name="simulate",
    openapi_extra=described(SimulationBody),
    response_model=SimulationReport,
)
async def _simulated(
    backend: Api, body: Annotated[SimulationBody, Depends(body_of(SimulationBody, SUBJECT))]
) -> Response:
    return in_json(await backend.work.run(lambda: _told(body)))


def _told(body: SimulationBody) -> Manifest:
    traffic = trace.of_rows(enumerate(body.trace), "trace")
    settings = scenario.read(body.settings, "settings")
    total = sum(row.requests for row in traffic.rows)
    if settings.effort(total, traffic.ends - traffic.starts) > MOST_REQUESTS:
        message = f"has {total} requests; at most {MOST_REQUESTS} (or as many rewrites) are tried here"
        raise Invalid(SUBJECT, [Problem("trace", f"{message}, more by `tidegate simulate`")])
    outcome = simulate(settings, traffic)
    return {**outcome.figures(), "series": outcome.series.rows()}
