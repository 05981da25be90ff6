"""What several pages ask the API together."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from k8s_manager.console.api_client import ApiClient, ApiRefusal
from k8s_manager.console.pages.figures import RequestSum, sums_by_model
from k8s_manager.document_state import state, trouble
from k8s_manager.statistics.stats_query import counted_minute

MINUTE = 60


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


@dataclass(frozen=True, slots=True)
class Demand:
    """The requests of the last minute by model, and why some may be missing."""

    by_model: Mapping[tuple[str, str], RequestSum]
    gaps: list[str]

    def of(self, tenant: str, model: str) -> RequestSum:
        """Return those of one model."""
        return self.by_model.get((tenant, model), RequestSum(MINUTE))


async def demand_now(api: ApiClient, now: float) -> Demand:
    """Return what was asked for in the last whole minute that was counted; what cannot be had is a gap."""
    start, end = counted_minute(now)
    span = {"from": str(start), "to": str(end), "step": "60s"}
    try:
        found = await api.get("/v1/stats", by="model", **span)
    except ApiRefusal as refusal:
        return Demand({}, [refusal.detail])
    return Demand(sums_by_model(found["items"], MINUTE), found["gaps"])


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
    )


def namespaces(tenants: list[Any]) -> dict[str, str]:
    """Return each tenant by its namespace."""
    return {
        (one.get("status") or {}).get("namespace") or one["spec"].get("namespace") or one["metadata"]["name"]: one[
            "metadata"
        ]["name"]
        for one in tenants
    }
