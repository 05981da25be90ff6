"""Index of everything that accepted documents claim, by what a new document can ask for. Pure."""

from collections.abc import Container, Hashable, Iterable, Iterator, Mapping

from istio_templates import names
from istio_templates.documents import (
    Document,
    InferenceGatewaySpec,
    ModelSpec,
    TenantSpec,
    WarmupPlanSpec,
)
from istio_templates.documents.route import Route
from istio_templates.facts import ObjectKey
from k8s_manager.admission.route_order import Holder, OrderedRoutes, RouteMatch, folders, is_fallback, match_of
from k8s_manager.world.gateway_api import GatewayApi
from k8s_manager.world.tenant import namespace_of
from k8s_manager.world.tenant_gateways import Binding
from k8s_manager.world.world import Foreign, NamespaceState, Stored, World

FilesInCluster = Mapping[tuple[str, str], Mapping[str, bytes]]


class ClaimIndex:
    """Claims of all accepted documents. A suffix of a host, or a folder of a path, leads to the claims below it, so
    that a check costs the same with ten models and with ten thousand."""

    def __init__(self) -> None:
        self.namespaces: Mapping[str, NamespaceState] = {}
        self.labelled: Mapping[str, list[str]] = {}
        self.foreign: Mapping[Holder, Foreign] | None = None
        self.gateway_api: GatewayApi | None = None
        self.bindings: Mapping[str, Binding] = {}
        self.selecting: Mapping[str, frozenset[str]] = {}
        self.files: FilesInCluster = {}
        self.ungated: frozenset[tuple[str, str, str]] = frozenset()
        self.warmup_plans: dict[Holder, WarmupPlanSpec] = {}
        self.attached: dict[ObjectKey, str] = {}
        self.gateways: dict[str, InferenceGatewaySpec] = {}
        self.gateways_in: dict[str, set[str]] = {}
        self.tenants: dict[str, TenantSpec] = {}
        self.tenant_of: dict[str, str] = {}
        self.adopted: dict[tuple[str, str], str] = {}
        self.models: dict[Holder, ModelSpec] = {}
        self.deployments: dict[Holder, str] = {}
        self._hosts: dict[str, str] = {}
        self._delegated: dict[str, dict[str, str]] = {}
        self._taken: dict[str, str] = {}
        self._hosts_below: dict[str, dict[str, str]] = {}
        self._paths: dict[RouteMatch, dict[str, Holder]] = {}
        self._paths_below: dict[RouteMatch, dict[str, dict[str, Holder]]] = {}
        self._ordered = OrderedRoutes()

    def observe(self, world: World) -> None:
        """Take over the facts of the cluster in the World that are not documents."""
        if world.namespaces is not self.namespaces:
            self.labelled = _by_tenant(world.namespaces)
        self.namespaces, self.foreign, self.bindings = world.namespaces, world.foreign, world.bindings
        self.files, self.ungated, self.selecting = world.files, world.ungated, world.selecting
        self.gateway_api = world.gateway_api

    def add(self, document: Document) -> None:
        """Add a document and everything that it claims."""
        match document.spec:
            case InferenceGatewaySpec() as spec:
                self.gateways[document.name] = spec
                self.gateways_in.setdefault(spec.namespace, set()).add(document.name)
            case TenantSpec() as spec:
                self._add_tenant(document.name, spec)
            case ModelSpec() as spec:
                self._add_model((document.namespace or "", document.name), spec)
            case WarmupPlanSpec() as spec:
                self.warmup_plans[document.namespace or "", document.name] = spec

    def reserve(self, world: World, only: Container[ObjectKey] | None = None) -> bool:
        """Reserve what live objects serve for the documents that still exist, or for those in `only`.

        Return False if the index has already given some of it to another document.
        """
        tenants = {stored.key.name: stored for stored in world.tenants if only is None or stored.key in only}
        models = {(s.key.namespace, s.key.name) for s in world.models if only is None or s.key in only}
        free = True
        for host, tenant in (*world.bound.hosts, *_claimed_routes(world.bound.routed, tenants)):
            if tenant in tenants and self._taken.get(host) != tenant:
                free = free and all(other == tenant for _, other in self.claims_against(host))
                self._claim_host(host, tenant)
        for host, headers, path, holder in world.bound.routes:
            place = (host, headers)
            if holder in models and self._paths.get(place, {}).get(path) != holder:
                free = free and all(other == holder for _, other in self._claimed_at(place, path))
                self._claim_route(place, path, holder)
        return free

    def adopted_gateway(self, spec: TenantSpec) -> tuple[str, str] | None:
        """Return namespace and name of the Gateway that a tenant adopts, if it does."""
        gateway = self.gateways.get(spec.gateway.name or "")
        return (gateway.namespace, spec.gateway.adopt) if gateway and spec.gateway.adopt else None

    def owner(self, host: str) -> str | None:
        """Return the tenant that may use a host."""
        claim = self._claim(host)
        return self._hosts[claim] if claim else None

    def delegation(self, host: str, path: str) -> tuple[str, str] | None:
        """Return (path, tenant) of the delegation that a path of a host lies in, if it does."""
        delegated = self._delegated.get(self._claim(host) or "", {})
        return next(((way, delegated[way]) for way in (path, *folders(path)) if way in delegated), None)

    def serving_tenant(self, host: str, path: str) -> str | None:
        """Return the tenant whose models may serve a path of a host."""
        found = self.delegation(host, path)
        return found[1] if found else self.owner(host)

    def delegated_within(self, host: str, path: str) -> Iterator[tuple[str, str]]:
        """Yield (path, tenant) of the delegations of a host that lie within a path."""
        for way, tenant in self._delegated.get(self._claim(host) or "", {}).items():
            if path in ("/", *folders(way)):
                yield way, tenant

    def _claim(self, host: str) -> str | None:
        if host in self._hosts:
            return host
        return next((claim for suffix in _suffixes(host) if (claim := f"*.{suffix}") in self._hosts), None)

    def models_in(self, namespace: str) -> Iterator[Holder]:
        """Yield the models of a namespace."""
        return (holder for holder in self.models if holder[0] == namespace)

    def claims_against(self, claim: str) -> Iterator[tuple[str, str]]:
        """Yield (claim, tenant) of all claims that cover `claim` or are covered by it."""
        bare = claim.removeprefix("*.")
        for wider in {claim, *(f"*.{suffix}" for suffix in _suffixes(bare))}:
            if wider in self._taken:
                yield wider, self._taken[wider]
        if claim != bare:
            yield from self._hosts_below.get(bare, {}).items()

    def paths_against(self, route: Route) -> Iterator[tuple[str, Holder]]:
        """Yield (path, model) of all that equals, contains or lies within a route; `/` may stand behind others."""
        return self._claimed_at(match_of(route), route.path)

    def unordered_against(self, route: Route, is_last: bool) -> Iterator[tuple[str, Holder]]:
        """Yield (path, model) of all routes that may fit one request together with `route`, and of which only the age
        of their models decides which one gets it."""
        return self._ordered.against(route, is_last)

    def _claimed_at(self, place: RouteMatch, path: str) -> Iterator[tuple[str, Holder]]:
        held = self._paths.get(place, {})
        for way in (path, *folders(path)):
            if way in held:
                yield way, held[way]
        yield from self._paths_below.get(place, {}).get(path, {}).items()

    def _add_tenant(self, name: str, spec: TenantSpec) -> None:
        self.tenants[name] = spec
        self.tenant_of[namespace_of(name, spec)] = name
        if place := self.adopted_gateway(spec):
            self.adopted[place] = name
        for host in spec.hosts:
            self._hosts[host.name] = name
            self._delegated[host.name] = {delegation.path: delegation.tenant for delegation in host.delegations}
            self._claim_host(host.name, name)

    def _claim_host(self, host: str, tenant: str) -> None:
        self._taken[host] = tenant
        for suffix in _suffixes(host.removeprefix("*.")):
            self._hosts_below.setdefault(suffix, {})[host] = tenant

    def _add_model(self, holder: Holder, spec: ModelSpec) -> None:
        self.models[holder] = spec
        if spec.attach_to:
            self.attached[spec.attach_to.key(holder[0])] = holder[1]
        for version in spec.versions:
            if version.workload:
                self.deployments[holder[0], names.deployment(holder[1], version.name)] = holder[1]
        for route in spec.routes:
            self._claim_route(match_of(route), route.path, holder)
            self._ordered.add(route, is_fallback(route, spec), holder)

    def _claim_route(self, place: RouteMatch, path: str, holder: Holder) -> None:
        self._paths.setdefault(place, {})[path] = holder
        for folder in folders(path):
            self._paths_below.setdefault(place, {}).setdefault(folder, {})[path] = holder


def _claimed_routes(routed: Iterable[tuple[str, str]], tenants: Mapping[str, Stored]) -> Iterator[tuple[str, str]]:
    """Yield (host, tenant) where a tenant routes on a host that it claims: other tenants only have a delegation."""
    return ((host, tenant) for host, tenant in routed if tenant in tenants and _claims(tenants[tenant], host))


def _claims(tenant: Stored, host: str) -> bool:
    """Tell whether a tenant claims a host; one that cannot be read counts as claiming what it has."""
    spec = tenant.document.spec if tenant.document else None
    return not isinstance(spec, TenantSpec) or any(names.covers(claim.name, host) for claim in spec.hosts)


def _by_tenant(namespaces: Mapping[str, NamespaceState]) -> dict[str, list[str]]:
    """Return the namespaces that carry the label of a tenant and stay, by tenant."""
    found: dict[str, list[str]] = {}
    for name, state in namespaces.items():
        if (tenant := state.labels.get(names.TENANT)) and not state.leaving:
            found.setdefault(tenant, []).append(name)
    return found


def _suffixes(host: str) -> list[str]:
    labels = host.split(".")
    return [".".join(labels[start:]) for start in range(1, len(labels))]


def claims_of(document: Document) -> frozenset[Hashable]:
    """Return what no other document can claim while this one has it, in values that only compare."""
    match document.spec:
        case InferenceGatewaySpec() as spec:
            domains = {("domain", listener.port, listener.domain) for listener in spec.listeners if listener.domain}
            own = {
                ("own certificates", one.port) for one in spec.listeners if one.protocol == "HTTPS" and not one.domain
            }
            selects = ("selects", tuple(sorted(spec.selector.items())))
            return frozenset({document.name, selects, spec.namespace} | domains | own)
        case TenantSpec() as spec:
            delegated = {(host.name, delegation) for host in spec.hosts for delegation in host.delegations}
            hosts = {("host", host.name, host.tls is not None) for host in spec.hosts}
            return frozenset({namespace_of(document.name, spec), ("gateway", spec.gateway)} | hosts | delegated)
        case ModelSpec() as spec:
            attached = {("attached", spec.attach_to.key(""))} if spec.attach_to else set()
            pods = {("version", version.name) for version in spec.versions if version.workload}
            return frozenset({(match_of(route), route.path) for route in spec.routes} | attached | pods)
        case _:
            return frozenset()
