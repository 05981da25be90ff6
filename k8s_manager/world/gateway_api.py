"""Gateway API objects that models limit: HTTPRoutes, and where their Gateways lead. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class HttpRoute:
    """An HTTPRoute: the Gateways (`namespace/name`) that it names, those at which Istio has `accepted` it, and by
    Gateway why Istio has `refused` it.

    `named` are its rules that have a name. `namesakes` are objects of others whose routes Istio names like its own.
    """

    gateways: tuple[str, ...]
    accepted: frozenset[str] = frozenset()
    refused: tuple[tuple[str, str], ...] = ()
    named: tuple[str, ...] = ()
    namesakes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class GatewayApi:
    """HTTPRoutes by (namespace, name), and by Gateway (`namespace/name`) the gateways on whose pods it is served. It is
    `absent` where the cluster has no HTTPRoutes, or the manager no right to read them."""

    routes: Mapping[tuple[str, str], HttpRoute] = field(default_factory=dict)
    pools: Mapping[str, frozenset[str]] = field(default_factory=dict)
    absent: bool = False
