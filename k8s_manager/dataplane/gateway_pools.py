"""Which gateways the loops ask that read gateway pods."""

from collections.abc import Mapping
from typing import Protocol

from istio_templates.facts import GatewayPool


class GatewayPools(Protocol):
    """What the limit loop knows of gateways."""

    @property
    def pools(self) -> Mapping[str, GatewayPool]:
        """Return all gateways, by name."""
