"""What another limit would have done to a model's own traffic of a period, by the manager's simulation."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from k8s_manager.console import ROOT
from k8s_manager.console.api_client import ApiClient, ApiRefusal
from k8s_manager.console.page import page
from k8s_manager.console.pages.figures import chart_spans
from k8s_manager.console.pages.models import path_of
from k8s_manager.console.site import ConsoleSite, reader_of

PERIODS = ("15m", "1h", "6h")
_KEPT = ("perReplicaQps", "burst", "floor", "ceiling")
"""Fields of the model's own limit that a trial keeps unless it is told otherwise."""


@dataclass(frozen=True, slots=True)
class Trial:
    """What is tried: the figure for each replica, how many replicas and gateway pods, on the traffic of a period."""

    per_replica: str
    replicas: str
    gateways: str
    period: str

    def settings(self, rate_limit: dict[str, Any]) -> dict[str, Any]:
        """Return the settings of the simulation; what is no number goes to the API, which says so."""
        kept = {name: rate_limit[name] for name in _KEPT if name in rate_limit}
        return {
            "rateLimit": {**kept, "perReplicaQps": _number(self.per_replica)},
            "replicas": _number(self.replicas),
            "gateways": _number(self.gateways),
        }


def routes(site: ConsoleSite) -> list[Route]:
    """Return the routes."""
    one = f"{ROOT}/tenants/{{tenant}}/models/{{model}}/what-if"
    return [Route(one, site.read(what_if)), Route(f"{one}/series", site.read(what_if_series))]


async def what_if(request: Request) -> Response:
    """Ask what is to be tried, and show what it would have done."""
    api, path = reader_of(request).api, path_of(request)
    document = await api.get(path)
    trial = await _trial(request, api, document)
    report, problem = None, None
    if "period" in request.query_params:
        try:
            report = await _simulated(request, trial, document)
        except ApiRefusal as refusal:
            problem = refusal
    return page(
        request,
        "what_if.html",
        problem.status if problem else 200,
        title="What if",
        trial=trial,
        periods=PERIODS,
        report=report,
        problem=problem,
        asked=request.url.query,
        **request.path_params,
    )


async def what_if_series(request: Request) -> Response:
    """Return the columns of the trial's chart as JSON."""
    api, path = reader_of(request).api, path_of(request)
    document = await api.get(path)
    report = await _simulated(request, await _trial(request, api, document), document)
    start, rows = report["start"], report["series"]
    columns = {
        "time": [start + row["time"] for row in rows],
        "demand": [row["offered"] for row in rows],
        "admitted": [row["admitted"] for row in rows],
        "limited": [max(0.0, row["offered"] - row["admitted"]) for row in rows],
        "limit": [row["limit"] for row in rows],
    }
    return JSONResponse({"columns": columns, "changes": [], "gaps": report["gaps"]})


async def _trial(request: Request, api: ApiClient, document: dict[str, Any]) -> Trial:
    """Return what is asked for, and for the rest what holds now."""
    given, limit = request.query_params, await api.get(f"{path_of(request)}/limit")
    versions = (document.get("status") or {}).get("versions") or []
    ready = sum(one["ready"] for one in versions) or 1
    figure = (document["spec"].get("rateLimit") or {}).get("perReplicaQps", 10)
    period = given.get("period", PERIODS[0])
    return Trial(
        given.get("perReplicaQps", str(figure)),
        given.get("replicas", str(ready)),
        given.get("gateways", str(max(1, len(limit["pods"])))),
        period if period in PERIODS else PERIODS[0],
    )


async def _simulated(request: Request, trial: Trial, document: dict[str, Any]) -> dict[str, Any]:
    """Return the report of the simulation, with when its traffic begins and why some may be missing."""
    reader = reader_of(request)
    start, end, step = chart_spans(reader.now.timestamp(), trial.period)[-1]
    span: dict[str, Any] = {"from": str(start), "to": str(end), "step": f"{step}s"}
    found = await reader.api.get(f"{path_of(request)}/stats", **span)
    trace = _trace(found["items"], start, end, step)
    settings = trial.settings(document["spec"].get("rateLimit") or {})
    reply = await reader.api.call("POST", "/v1/simulate", body={"settings": settings, "trace": trace})
    if not reply.is_good:
        raise ApiRefusal(reply.status, reply.body)
    return {**reply.body, "start": start, "gaps": found["gaps"]}


def _trace(items: list[dict[str, Any]], start: int, end: int, step: int) -> list[dict[str, float]]:
    """Return the requests of each second: those of a step are spread over it evenly."""
    counts = {int(datetime.fromisoformat(one["start"]).timestamp()): one["demand"] for one in items}
    rows = []
    for begin in range(start, end, step):
        demand = counts.get(begin, 0)
        for second in range(step):
            share = demand * (second + 1) // step - demand * second // step
            rows.append({"time": begin + second - start, "requests": share})
    return rows


def _number(text: str) -> Any:
    try:
        found = float(text)
    except ValueError:
        return text
    return int(found) if found == int(found) and abs(found) < 1e9 else found
