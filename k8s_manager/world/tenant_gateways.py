"""Which gateways serve a tenant. Pure."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Binding:
    """The gateways that serve a tenant, the one that it asks for first; `until` when the others stay.

    `waits` says what a migration waits for that has not begun, or cannot end. `leaving` are gateways that the tenant
    has left but for live routes: what those need there stays until they lead through others.
    """

    gateways: tuple[str, ...]
    until: str | None = None
    waits: str | None = None
    leaving: tuple[str, ...] = ()

    @property
    def present(self) -> tuple[str, ...]:
        """The gateways at which something of the tenant is in force."""
        return (*self.gateways, *self.leaving)

    def status(self) -> dict[str, Any]:
        """Return this binding for the tenant's status."""
        moving = {"from": list(self.gateways[1:]), "until": self.until} if self.until else None
        return {"gateway": self.gateways[0], "moving": moving}
