"""What another limit would have done to a model's own traffic of a period, by the manager's simulation."""

from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from k8s_manager.console import ROOT
from k8s_manager.console.actions.form_refusal import RefusedForm
from k8s_manager.console.api_client import ApiClient, ApiRefusal
from k8s_manager.console.form import number
from k8s_manager.console.page import page
from k8s_manager.console.pages.figures import by_start, chart_spans
from k8s_manager.console.pages.models import path_of
from k8s_manager.console.site import ConsoleSite, reader_of

PERIODS = ("15m", "1h", "6h")
WARM_UP = "30s"
_KEPT = ("perReplicaQps", "burst", "floor", "ceiling")
"""Fields of the model's own limit that a trial keeps; the figure is replaced by the one that is tried."""


_PLACES = {
    **{name: name for name in ("perReplicaQps", "replicas", "gateways", "warmUp")},
    "settings.scaling.autoscale.max": "most",
    "scaling.autoscale.max": "most",
    "max": "most",
}
"""The field of the form for each of the simulation's."""


@dataclass(frozen=True, slots=True)
class Trial:
    """What is tried: the figure for each replica, how many replicas and gateway pods, on the traffic of a period. With
    `most` the replicas follow the demand up to that many, each warm after `warm_up`."""

    per_replica: str
    replicas: str
    gateways: str
    period: str
    most: str
    warm_up: str

    def settings(self, rate_limit: dict[str, Any]) -> dict[str, Any]:
        """Return the settings of the simulation; what is no number goes to the API, which says so."""
        kept = {name: rate_limit[name] for name in _KEPT if name in rate_limit}
        found = {
            "rateLimit": {**kept, "perReplicaQps": number(self.per_replica)},
            "replicas": number(self.replicas),
            "gateways": number(self.gateways),
        }
        if self.most:
            found["scaling"] = {"autoscale": {"max": number(self.most)}, "warmUp": self.warm_up}
        return found


def routes(site: ConsoleSite) -> list[Route]:
    """Return the routes."""
    return [Route(f"{ROOT}/tenants/{{tenant}}/models/{{model}}/what-if", site.read(what_if))]


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
        refused=RefusedForm.of("trial", {}, problem, _PLACES) if problem else RefusedForm(),
        columns=_columns(report) if report else {},
        **request.path_params,
    )


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
        given.get("most", "").strip(),
        given.get("warmUp", WARM_UP).strip(),
    )


async def _simulated(request: Request, trial: Trial, document: dict[str, Any]) -> dict[str, Any]:
    """Return the report of the simulation, with when its traffic begins and why some may be missing."""
    reader = reader_of(request)
    start, end, step = chart_spans(reader.now.timestamp(), trial.period)[-1]
    span: dict[str, Any] = {"from": str(start), "to": str(end), "step": f"{step}s"}
    found = await reader.api.get(f"{path_of(request)}/stats", **span)
    trace = _trace(found["items"], start, end, step)
    settings = trial.settings(document["spec"].get("rateLimit") or {})
    body = {"settings": settings, "trace": trace}
    reply = (await reader.api.call("POST", "/v1/simulate", body=body)).required()
    return {**reply.body, "start": start, "gaps": found["gaps"]}


def _columns(report: dict[str, Any]) -> dict[str, list[float]]:
    """Return the columns of the trial's chart."""
    rows = report["series"]
    return {
        "time": [report["start"] + row["time"] for row in rows],
        "demand": [row["offered"] for row in rows],
        "admitted": [row["admitted"] for row in rows],
        "limited": [max(0.0, row["offered"] - row["admitted"]) for row in rows],
        "limit": [row["limit"] for row in rows],
    }


def _trace(items: list[dict[str, Any]], start: int, end: int, step: int) -> list[dict[str, float]]:
    """Return the requests of each second: those of a step are spread over it evenly."""
    counts = by_start(items)
    rows = []
    for begin in range(start, end, step):
        demand = counts[begin]["demand"] if begin in counts else 0
        for second in range(step):
            share = demand * (second + 1) // step - demand * second // step
            rows.append({"time": begin + second - start, "requests": share})
    return rows
