"""Roles, what each may do, and the decision over a caller's grants.

A right counts in a tenant or, for what belongs to no tenant, in the fleet. A caller who may not read an object gets the
same answer as where there is none, and so does not learn whether it exists.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

OWN_PREFIX = "tidegate:"
"""What begins so is never taken from a token: it is given by the manager itself."""

MASTERS = f"{OWN_PREFIX}masters"
"""The group of callers with the manager's own token."""


SOURCES = ("token", "oidc", "kubernetes")
"""Authentication methods: static tokens, OpenID Connect, the API server. A name in a grant may begin with one and a
colon: then it is of that method alone."""


class Right(StrEnum):
    """What a call asks for."""

    READ = "read"
    OPERATE = "operate"
    """Limits for a time, scale, traffic, pauses, measurements."""
    EDIT = "edit"
    """Models."""
    CALLERS = "callers"
    """Who may call a tenant's models: callers, their tokens, and the keys of those."""
    OVERRIDE = "override"
    """Overrides beyond a tenant's own range, and over several tenants."""
    MANAGE = "manage"
    """Gateways, tenants, and who may do what."""


class Role(StrEnum):
    """A set of rights, as an AccessGrant names it."""

    VIEWER = "viewer"
    TENANT_OPERATOR = "tenantOperator"
    TENANT_ADMIN = "tenantAdmin"
    PLATFORM_OPERATOR = "platformOperator"
    PLATFORM_ADMIN = "platformAdmin"


RIGHTS: dict[Role, frozenset[Right]] = {
    Role.VIEWER: frozenset({Right.READ}),
    Role.TENANT_OPERATOR: frozenset({Right.READ, Right.OPERATE}),
    Role.TENANT_ADMIN: frozenset({Right.READ, Right.OPERATE, Right.EDIT, Right.CALLERS}),
    Role.PLATFORM_OPERATOR: frozenset({Right.READ, Right.OPERATE, Right.OVERRIDE}),
    Role.PLATFORM_ADMIN: frozenset(Right),
}


def roles_with(right: Right) -> tuple[Role, ...]:
    """Return the roles that have a right, the least first."""
    return tuple(role for role in Role if right in RIGHTS[role])


@dataclass(frozen=True, slots=True)
class Identity:
    """The authenticated caller: a name, and the groups that the token names.

    `is_person` is false for the manager's own token, which does not say who uses it. `source` is the authentication
    method, one of `SOURCES`: the same name in two of them may be two people.
    """

    user: str
    groups: frozenset[str] = frozenset()
    is_person: bool = True
    source: str = field(default="", compare=False)

    @property
    def name(self) -> str:
        """Return the unique name: the authentication method, then the user's name."""
        return f"{self.source}:{self.user}" if self.source else self.user


@dataclass(frozen=True, slots=True)
class Grant:
    """A role for users and groups, in some tenants; without tenants in all of them and in the fleet."""

    role: Role
    users: frozenset[str] = frozenset()
    groups: frozenset[str] = frozenset()
    tenants: frozenset[str] = frozenset()

    def holds_in(self, tenant: str | None) -> bool:
        """Tell whether it holds in a tenant, or for None in the fleet."""
        return not self.tenants or tenant in self.tenants


class Grants:
    """All grants, found by the users and groups that they are for. Names without a source are of any, unless grants
    have to be `prefixed`."""

    def __init__(self, grants: Iterable[Grant], prefixed: bool = False) -> None:
        self._is_prefixed = prefixed
        self._by_user: defaultdict[str, list[Grant]] = defaultdict(list)
        self._by_group: defaultdict[str, list[Grant]] = defaultdict(list)
        for grant in (Grant(Role.PLATFORM_ADMIN, groups=frozenset({MASTERS})), *grants):
            for user in grant.users:
                self._by_user[user].append(grant)
            for group in grant.groups:
                self._by_group[group].append(grant)

    def of(self, identity: Identity) -> tuple[Grant, ...]:
        """Return the grants of a caller."""
        users = self._spellings(identity.user, identity.source)
        groups = [one for group in sorted(identity.groups) for one in self._spellings(group, identity.source)]
        found = [*(self._by_user.get(one, []) for one in users), *(self._by_group.get(one, []) for one in groups)]
        return tuple(dict.fromkeys(grant for grants in found for grant in grants))

    def _spellings(self, name: str, source: str) -> list[str]:
        """Return how grants may call a user or group: behind its source, and alone where it looks like no other's."""
        if not source:
            return [name]
        looks_prefixed = name.startswith(tuple(f"{one}:" for one in SOURCES))
        return [f"{source}:{name}"] if self._is_prefixed or looks_prefixed else [f"{source}:{name}", name]


@dataclass(frozen=True, slots=True)
class Caller:
    """A caller, and the grants that count for this call."""

    identity: Identity
    grants: tuple[Grant, ...]

    def may(self, right: Right, tenant: str | None = None) -> bool:
        """Tell whether the caller has a right in a tenant, or with None in the fleet."""
        return any(right in RIGHTS[grant.role] and grant.holds_in(tenant) for grant in self.grants)
