"""What the kinds of proof have in common, and the order in which they are asked."""

from collections.abc import Sequence
from typing import Protocol

from istio_templates.errors import TidegateError
from k8s_manager.access.roles import OWN_PREFIX, Identity


class Unidentified(TidegateError):
    """A call without a token that proves who calls (401); the message never repeats the token."""


class Proof(Protocol):
    """One kind of bearer token."""

    async def identity(self, token: str) -> Identity | None:
        """Return who a token proves; None where it is none of this kind.

        Raises `Unidentified` where it is one and does not hold, `Waiting` or `Transient` where that cannot be told now.
        """


class Proofs:
    """All kinds of proof that this manager takes, asked in turn."""

    def __init__(self, proofs: Sequence[Proof]) -> None:
        self._proofs = proofs

    async def identity(self, token: str | None) -> Identity:
        """Return who calls; raises `Unidentified`."""
        if not token:
            raise Unidentified("no bearer token; send 'Authorization: Bearer TOKEN'")
        for proof in self._proofs:
            if (found := await proof.identity(token)) is not None:
                return found
        raise Unidentified(
            "the bearer token is not known here; get a new one, or ask who runs this manager which it takes"
        )


def taken(user: object, groups: object, source: str) -> Identity:
    """Return the identity that a proof from outside names; raises `Unidentified` for one of the manager's own names."""
    if not isinstance(user, str) or not user.strip() or user.startswith(OWN_PREFIX):
        raise Unidentified(f"{source} names no user that can be taken")
    listed = groups if isinstance(groups, list | tuple) else [groups]
    named = frozenset(group for group in listed if isinstance(group, str) and group)
    return Identity(user, frozenset(group for group in named if not group.startswith(OWN_PREFIX)))
