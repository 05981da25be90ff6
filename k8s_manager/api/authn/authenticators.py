"""What the authentication methods have in common, and the order in which they are tried."""

from collections.abc import Sequence
from typing import Protocol, TypeGuard

from istio_templates.errors import TidegateError, Transient, Waiting
from k8s_manager.authz.roles import OWN_PREFIX, Identity

LONGEST_NAME = 253


class Unidentified(TidegateError):
    """A call without a token that proves who calls (401); the message never repeats the token."""


class Authenticator(Protocol):
    """One kind of bearer token."""

    async def identity(self, token: str) -> Identity | None:
        """Return who a token proves; None where it is none of this kind.

        Raises `Unidentified` where it is one and does not hold, `Waiting` or `Transient` where it cannot be checked.
        """


class Authenticators:
    """All authentication methods that this manager accepts, tried in turn."""

    def __init__(self, proofs: Sequence[Authenticator]) -> None:
        self._proofs = proofs

    async def identity(self, token: str | None) -> Identity:
        """Return the caller; raises `Unidentified`, or where one method cannot be tried now, its `Waiting` or
        `Transient`."""
        if not token:
            raise Unidentified("no bearer token; send 'Authorization: Bearer TOKEN'")
        later: Waiting | Transient | None = None
        for proof in self._proofs:
            try:
                if (found := await proof.identity(token)) is not None:
                    return found
            except (Waiting, Transient) as error:
                later = later or error
        if later:
            raise later
        raise Unidentified(
            "the bearer token is not known here; get a new one, or ask who runs this manager which it takes"
        )


def taken(user: object, groups: object, source: str, of_kubernetes: bool = False) -> Identity:
    """Return the identity that a token names; raises `Unidentified` for a user that it may not name.

    No token may name the manager's own users, and only the API server may name Kubernetes' own (`system:`).
    """
    reserved = (OWN_PREFIX,) if of_kubernetes else (OWN_PREFIX, "system:")
    if not _is_name(user) or user.startswith(reserved):
        raise Unidentified(f"{source} names no user that can be taken")
    listed = groups if isinstance(groups, list | tuple) else [groups]
    held = frozenset(group for group in listed if _is_name(group) and not group.startswith(reserved))
    return Identity(user, held, source="kubernetes" if of_kubernetes else "oidc")


def _is_name(value: object) -> TypeGuard[str]:
    return isinstance(value, str) and 0 < len(value) <= LONGEST_NAME and value.isprintable() and value == value.strip()
