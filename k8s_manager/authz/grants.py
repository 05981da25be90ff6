"""From documents to grants: AccessGrants, and the owners that a Tenant names."""

from collections.abc import Iterable, Iterator

from istio_templates.documents import AccessGrantSpec, parse
from istio_templates.errors import Invalid
from istio_templates.facts import Manifest
from k8s_manager.authz.roles import Grant, Role

GROUP, USER = "group:", "user:"


def of_documents(access_grants: Iterable[Manifest], tenants: Iterable[Manifest]) -> Iterator[Grant]:
    """Yield what AccessGrants and Tenants say; a document that is wrong or being deleted grants nothing."""
    for obj in access_grants:
        if "deletionTimestamp" not in obj["metadata"]:
            yield from _of_document(obj)
    for obj in tenants:
        if owners := (obj.get("spec") or {}).get("owners"):
            yield _of_owners(obj["metadata"]["name"], owners)


def _of_document(obj: Manifest) -> Iterator[Grant]:
    try:
        spec = parse(obj).spec
    except Invalid:  # its condition says so
        return
    assert isinstance(spec, AccessGrantSpec)
    yield Grant(Role(spec.role), frozenset(spec.users), frozenset(spec.groups), frozenset(spec.tenants))


def _of_owners(tenant: str, owners: Iterable[object]) -> Grant:
    said = [owner for owner in owners if isinstance(owner, str)]
    groups = frozenset(owner.removeprefix(GROUP) for owner in said if owner.startswith(GROUP))
    users = frozenset(owner.removeprefix(USER) for owner in said if not owner.startswith(GROUP))
    return Grant(Role.TENANT_ADMIN, users, groups, frozenset({tenant}))
