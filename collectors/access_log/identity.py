"""Whose request a line is about, by the names that are rendered for routes and clusters."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

_LABEL = r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?"
ROUTE = re.compile(rf"({_LABEL})\.({_LABEL})\.[0-9]+(?:~sticky|\.{_LABEL})?")
OWN_ROUTE = re.compile(r"/apis/networking\.istio\.io/v1/namespaces/([-a-z0-9]+)/virtual-service/([-a-z0-9]+)")
CLUSTER = re.compile(r"outbound\|[0-9]+\|([^|]*)\|[^|]+")
"""A whole name of a route, identity of a route, and name of a cluster; aggregation_sql gives them to other engines."""
OTHER = "__other__"
"""Stands for all keys beyond a cap."""


class Served(NamedTuple):
    """A tenant, a model of it and a version; empty as far as a line does not tell them."""

    tenant: str = ""
    model: str = ""
    version: str = ""


@dataclass(frozen=True, slots=True)
class KnownRoutes:
    """What a reader of documents knows besides the names: the tenant of each namespace, and the models whose requests
    another owner's route routes, by that route's identity."""

    tenants: Mapping[str, str]
    attached: Mapping[str, tuple[str, str]]


def served_by(route: str | None, config: str | None, cluster: str | None, known: KnownRoutes | None = None) -> Served:
    """Return who serves the requests of a route.

    `route` is the name of Envoy's route, as it is rendered: TENANT.MODEL.NUMBER, with .ARM behind it for requests of a
    match. `config` is the identity that Istio
    gives it, and has to be that of the model's own VirtualService, in the tenant's namespace as far as that is `known`:
    who may write routes can give them any name.
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
    return Served(named[1], named[2], version)
