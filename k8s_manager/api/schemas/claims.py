"""Whose each host is."""

from k8s_manager.api.schemas.answer import ApiAnswer
from k8s_manager.api.schemas.documents import Page


class DelegatedPath(ApiAnswer):
    """A path that another tenant serves."""

    path: str
    tenant: str


class ClaimedRoute(ApiAnswer):
    """What the owner of a host serves on it."""

    path: str | None
    model: str


class HostOwnership(ApiAnswer):
    """A host, the tenant that owns it and its gateway, the paths that others serve, and the owner's own routes."""

    host: str
    tenant: str
    gateway: str
    delegations: list[DelegatedPath]
    routes: list[ClaimedRoute]


class ClaimPage(Page):
    """A page of hosts."""

    items: list[HostOwnership]


class GrantedHost(ApiAnswer):
    """A host and the tenant that owns it now."""

    host: str
    tenant: str


class ReleasedHost(ApiAnswer):
    """A host that no tenant owns any more."""

    released: str
