"""Whose request a line is about, by the names that are rendered for routes and clusters."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

_LABEL = r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?"
ROUTE = re.compile(rf"({_LABEL})\.({_LABEL})\.[0-9]+(?:~sticky|\.({_LABEL}))?")
OWN_ROUTE = re.compile(r"/apis/networking\.istio\.io/v1/namespaces/([-a-z0-9]+)/virtual-service/([-a-z0-9]+)")
CLUSTER = re.compile(r"outbound\|[0-9]+\|([^|]*)\|[^|]+")
"""A whole name of a route, identity of a route, and name of a cluster; aggregation_sql gives them to other engines."""
OTHER = "__other__"
"""Stands for all keys beyond a cap."""


class Served(NamedTuple):
    """A tenant, a model of it, a version, and the arm of the match that led there; empty as far as a line does not tell
    them. Requests that the weights divide have no arm."""

    tenant: str = ""
    model: str = ""
    version: str = ""
    arm: str = ""


@dataclass(frozen=True, slots=True)
class KnownRoutes:
    """What a reader of documents knows besides the names: the tenant of each namespace, the models whose requests
    another owner's route routes, by that route's identity, and the arms of each tenant's models that have some."""

    tenants: Mapping[str, str]
    attached: Mapping[str, tuple[str, str]]
    arms: Mapping[tuple[str, str], frozenset[str]] = field(default_factory=dict)

    def arm(self, tenant: str, model: str, name: str) -> str:
        """Return the arm of a name; none where no document names it, so that it counts under the weights."""
        return name if name in self.arms.get((tenant, model), ()) else ""


def served_by(route: str | None, config: str | None, cluster: str | None, known: KnownRoutes | None = None) -> Served:
    """Return who serves the requests of a route.

    `route` is the name of Envoy's route, as it is rendered: TENANT.MODEL.NUMBER, with .ARM behind it for requests of a
    match. Nothing that a caller sends stands in it. `config` is the identity that Istio gives it, and has to be that of
    the model's own VirtualService, in the tenant's namespace as far as that is `known`: who may write routes can give
    them any name.
    """
    found = CLUSTER.fullmatch(cluster or "")
    version = found[1] if found else ""
    if known and config is not None and config in known.attached:
        return Served(*known.attached[config], version)
    named, own = ROUTE.fullmatch(route or ""), OWN_ROUTE.fullmatch(config or "")
    if not named or not own or own[2] != named[2]:
        return Served()
    if known and known.tenants.get(own[1]) != named[1]:
        return Served()
    arm = named[3] or ""
    return Served(named[1], named[2], version, known.arm(named[1], named[2], arm) if known else arm)
