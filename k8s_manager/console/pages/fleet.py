"""What several pages ask the API together."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from collectors.request_statistics.series import MINUTE
from k8s_manager.api.services.document_bodies import namespace_of
from k8s_manager.console.api_client import ApiClient, ApiRefusal
from k8s_manager.console.pages.figures import RequestSum, sum_of, sums_by_model
from k8s_manager.document_state import state, trouble
from k8s_manager.release.decision.state import ENDED
from k8s_manager.statistics.stats_query import counted_minute


@dataclass(frozen=True, slots=True)
class ModelLine:
    """A model as lists show it."""

    tenant: str
    name: str
    url: str
    state: str
    trouble: list[str]
    ready: int
    desired: int | None
    limit: Mapping[str, Any]
    requests: RequestSum
    release: Mapping[str, Any] | None
    """Its release while that is under way."""


@dataclass(frozen=True, slots=True)
class Demand:
    """The requests of the last minute by model, and why some may be missing."""

    by_model: Mapping[tuple[str, str], RequestSum]
    total: RequestSum
    gaps: list[str]

    def of(self, tenant: str, model: str) -> RequestSum:
        """Return those of one model."""
        return self.by_model.get((tenant, model), RequestSum(MINUTE))


async def counts_of(
    api: ApiClient, path: str, start: int, end: int, step: int, **by: str
) -> tuple[list[Any], list[str]]:
    """Return the counts of a span (epoch seconds) that a path of statistics has, and why some may be missing; what
    cannot be had is a reason too."""
    try:
        found = await api.get(path, **{"from": str(start), "to": str(end), "step": f"{step}s", **by})
    except ApiRefusal as refusal:
        return [], [refusal.detail]
    return found["items"], found["gaps"]


async def demand_now(api: ApiClient, now: float) -> Demand:
    """Return what was asked for in the last whole minute that was counted."""
    items, gaps = await counts_of(api, "/v1/stats", *counted_minute(now), MINUTE, by="model")
    return Demand(sums_by_model(items, MINUTE), sum_of(items, MINUTE), gaps)


async def model_lines(api: ApiClient, tenants: Mapping[str, str], demand: Demand) -> list[ModelLine]:
    """Return all models that the reader may see; `tenants` by their namespaces."""
    return [
        model_line(tenants[obj["metadata"]["namespace"]], obj, demand)
        for obj in await api.items("/v1/models")
        if obj["metadata"]["namespace"] in tenants
    ]


def model_line(tenant: str, obj: Mapping[str, Any], demand: Demand) -> ModelLine:
    """Return a model's line."""
    name, status = obj["metadata"]["name"], obj.get("status") or {}
    versions = status.get("versions") or []
    desired = [one["desired"] for one in versions if one.get("desired") is not None]
    return ModelLine(
        tenant,
        name,
        status.get("url") or "",
        state(dict(obj)),
        trouble(dict(obj)),
        sum(one["ready"] for one in versions),
        sum(desired) if desired else None,
        status.get("limit") or {},
        demand.of(tenant, name),
        release_under_way(status),
    )


def release_under_way(status: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the release in a model's status while it is under way."""
    found = status.get("rollout")
    return found if isinstance(found, dict) and found.get("phase") not in (None, *ENDED) else None


def namespaces(tenants: list[Any]) -> dict[str, str]:
    """Return each tenant by its namespace."""
    return {namespace_of(one): one["metadata"]["name"] for one in tenants}
