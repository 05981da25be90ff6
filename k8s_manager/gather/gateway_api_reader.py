"""The Gateway API as admission needs it: what HTTPRoutes there are, and on which gateways' pods they are served."""

from collections.abc import Iterable, Mapping

from istio_templates.facts import Manifest
from k8s_manager.gather import http_route
from k8s_manager.kube.store import Store
from k8s_manager.runtime.memo import Last
from k8s_manager.world.gateway_api import GatewayApi, HttpRoute

Labels = frozenset[tuple[str, str]]
PodsOfGateways = Mapping[str, tuple[str, tuple[Labels, ...]]]
"""The namespace of each gateway's pods, and the labels that these carry."""


class GatewayApiReader:
    """Reads HTTPRoutes and Gateways again only when one of them, or a Service, has changed."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._routes, self._pools, self._whole = Last(), Last(), Last()

    def gateway_api(self, pods: PodsOfGateways) -> GatewayApi:
        """Return what is there; `pods` are those of the gateways by name."""
        changes = tuple(self._store.changes(kind) for kind in ("HTTPRoute", "GRPCRoute"))
        routes = self._routes.get(changes, self._read_routes)
        inputs = (pods, *(self._store.changes(kind) for kind in ("KubernetesGateway", "Service")))
        pools = self._pools.get(inputs, lambda: self._read_pools(pods))
        absent = "HTTPRoute" in self._store.absent
        return self._whole.get((routes, pools, absent), lambda: GatewayApi(routes, pools, absent))

    def _read_routes(self) -> dict[tuple[str, str], HttpRoute]:
        namesakes = http_route.namesakes_of((*self._store.all("HTTPRoute"), *self._store.all("GRPCRoute")))
        return {_place(obj): _route(obj, namesakes.get(_place(obj), ())) for obj in self._store.all("HTTPRoute")}

    def _read_pools(self, pods: PodsOfGateways) -> dict[str, frozenset[str]]:
        found = {}
        for gateway in self._store.all("KubernetesGateway"):
            selected = list(self._selected(gateway))
            found["/".join(_place(gateway))] = frozenset(
                pool
                for pool, (namespace, carried) in pods.items()
                if any(place == namespace and any(labels <= one for one in carried) for place, labels in selected)
            )
        return found

    def _selected(self, gateway: Manifest) -> Iterable[tuple[str, Labels]]:
        """Yield namespace and labels of the pods that serve a Gateway."""
        namespace, name = _place(gateway)
        services = http_route.services_of(gateway)
        if services is None:
            yield namespace, frozenset({(http_route.GATEWAY_NAME, name)})
            return
        for key in services:
            spec = (self._store.get(key) or {}).get("spec") or {}
            if spec.get("selector"):
                yield key.namespace, frozenset(spec["selector"].items())


def _place(obj: Manifest) -> tuple[str, str]:
    return obj["metadata"]["namespace"], obj["metadata"]["name"]


def _route(obj: Manifest, namesakes: Iterable[str]) -> HttpRoute:
    answers = list(http_route.answers_of(obj))
    accepted = frozenset(gateway for gateway, problem in answers if problem is None)
    return HttpRoute(
        gateways=http_route.gateways_of(obj),
        accepted=accepted,
        refused=tuple((gateway, problem) for gateway, problem in answers if problem is not None),
        named=tuple(rule["name"] for rule in http_route.rules_of(obj) if rule.get("name")),
        namesakes=tuple(sorted(namesakes)),
    )
