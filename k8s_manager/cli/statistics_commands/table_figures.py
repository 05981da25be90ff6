"""What tables of models show beside their documents: rollouts, and the requests of the last whole minute."""

import time
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from collectors.request_statistics.series import MINUTE
from k8s_manager.cli.connection import Connection
from k8s_manager.client import ApiProblem, TidegateClient, Unanswered
from k8s_manager.statistics.stats_query import counted_minute

Name = tuple[str, str]
"""Namespace and name of a model."""
Item = Mapping[str, Any]


class TableFigures(NamedTuple):
    """Rollouts of models, and counts of their requests over a minute: of models that were asked, and where collectors
    count."""

    rollouts: Mapping[Name, Item] = {}
    requests: Mapping[Name, Item] = {}


def figures_of(connection: Connection, models: Iterable[tuple[str, Item]]) -> TableFigures:
    """Return the figures of models, each given with its tenant (an empty one for documents of the fleet)."""
    namespaces = {tenant: str(obj["metadata"].get("namespace", "")) for tenant, obj in models if tenant}
    if not namespaces:
        return TableFigures()
    scope = next(iter(namespaces)) if len(namespaces) == 1 else ""
    requests = {(namespaces.get(tenant, ""), model): item for (tenant, model), item in _counts(connection, scope)}
    return TableFigures(rollouts(connection, namespaces), requests)


def rollouts(connection: Connection, tenants: Iterable[str]) -> Mapping[Name, Item]:
    """Return the rollouts of the models of tenants."""
    found = [item for tenant in tenants for item in connection.items(f"/v1/tenants/{tenant}/rollouts")]
    return {(item["model"].partition("/")[0], item["model"].partition("/")[2]): item for item in found}


def stats_path(tenant: str) -> str:
    """Return what asks for the requests of a tenant's models, or of all, in the last whole minute."""
    scope = f"/v1/tenants/{tenant}/stats" if tenant else "/v1/stats"
    return f"{scope}?by=model&{minute_span()}"


def minute_span() -> str:
    """Return the parameters of the last whole minute that has been counted, as one step."""
    start, end = counted_minute(time.time())
    return f"from={start}&to={end}&step={MINUTE}s"


def _counts(connection: Connection, tenant: str) -> list[tuple[Name, Item]]:
    """Return counts by tenant and model; none where the manager has no statistics: a table is not refused for that."""
    quiet = TidegateClient(connection.server, connection.token, connection.timeout)
    try:
        found = quiet.call("GET", stats_path(tenant))
        return [((item["tenant"], item["model"]), item) for item in found["items"]]
    except (ApiProblem, Unanswered, KeyError, TypeError):
        return []
