"""VirtualService: one per model, with all its routes; one more per gateway for the probe.

The limit of a model is keyed by the identity of its VirtualService, so every route of a model shares one
bucket, and nothing else may route for it.
"""

import re
from collections.abc import Collection, Iterator

from istio_templates import names
from istio_templates.arms.arm_rules import STICKY, arm_of, arm_rule
from istio_templates.facts import (
    CorsFacts,
    GatewayPool,
    HeaderEdits,
    LentHost,
    LiveRoute,
    Manifest,
    RouteFacts,
    ServedModel,
    Tenancy,
)
from istio_templates.gateway import gateway_named
from istio_templates.workloads.service import service_host

ANY_CASE = "(?i)"
"""Before a regular expression on a host: Envoy compares it with case, and host names have none."""
ANY_PORT = "(:[0-9]+)?"
# What Envoy's CORS filter takes for a preflight, beside the method: both with a value.
_PREFLIGHT = {"origin": {"regex": ".+"}, "access-control-request-method": {"regex": ".+"}}
MESH = "mesh"
"""What stands for all sidecars among the Gateways of a VirtualService."""
Split = tuple[tuple[str, str, int], ...]
"""Where a route sends requests: host, subset and weight of each destination that gets some."""
# None of these is answered by a model: a request that may have run is never sent again.
RETRY_ON = "connect-failure,refused-stream,reset-before-request"


def virtual_service(model: ServedModel) -> Manifest:
    """Return the VirtualService of a model."""
    tenant = model.tenant
    hosts = sorted({route.host for route in model.routes})
    obj = names.manifest(
        "networking.istio.io/v1", "VirtualService", model.name, tenant.namespace, names.owned_by_model(model)
    )
    return {
        **obj,
        "spec": {
            "hosts": hosts,
            "gateways": _gateways(model, hosts),
            "exportTo": sorted({pool.namespace for pool in tenant.gateways}),
            "http": [
                http for route in sorted(model.routes, key=_precedence) for http in _http(model, route, len(hosts) > 1)
            ],
        },
    }


def probe(pool: GatewayPool) -> list[Manifest]:
    """Return the VirtualService that lets one GET tell which revision of every slot a gateway pod runs."""
    if not pool.probe or names.plain_listener(pool) is None:
        return []
    obj = names.manifest(
        "networking.istio.io/v1",
        "VirtualService",
        f"tidegate-{pool.name}-probe",
        pool.namespace,
        names.owned_by_gateway(pool),
    )
    match = {"uri": {"prefix": "/"}, "headers": {names.PROBE_HEADER: {"exact": pool.probe}}}
    return [
        {
            **obj,
            "spec": {
                "hosts": [names.PROBE_HOST],
                "gateways": [f"{pool.namespace}/{names.pool_gateway(pool)}"],
                "exportTo": ["."],
                "http": [{"name": f"tidegate.{pool.name}.probe", "match": [match], "directResponse": {"status": 204}}],
            },
        }
    ]


def http_of(obj: Manifest) -> list[Manifest]:
    """Return the HTTP routes of a VirtualService as read back, whatever is missing in it."""
    return (obj.get("spec") or {}).get("http") or []


def gateways_of(obj: Manifest) -> tuple[str, ...]:
    """Return the Gateways through which a VirtualService as read back is reached, as namespace/name, and `mesh`."""
    own = obj["metadata"].get("namespace", "") if "metadata" in obj else ""
    found = (obj.get("spec") or {}).get("gateways") or ()
    return tuple(name if name == MESH else "/".join(gateway_named(name, own)) for name in found)


def matches_of(http: Manifest) -> list[Manifest]:
    """Return what an HTTP route matches; one without a match takes everything."""
    return http.get("match") or [{}]


def subsets_used(obj: Manifest) -> set[str]:
    """Return the subsets to which a VirtualService sends or mirrors requests; empty text where it names none."""
    targets = [target for http in http_of(obj) for target in (*(http.get("route") or []), *mirrors_of(http))]
    return {(target.get("destination") or {}).get("subset", "") for target in targets}


def mirrors_of(http: Manifest) -> list[Manifest]:
    """Return where an HTTP route of a VirtualService as read back mirrors requests."""
    return [*([{"destination": http["mirror"]}] if "mirror" in http else []), *(http.get("mirrors") or [])]


def routes_of(obj: Manifest) -> list[LiveRoute]:
    """Return (host, headers, path, (namespace, name)) of every route of a VirtualService as read back."""
    holder = (obj["metadata"]["namespace"], obj["metadata"]["name"])
    out = []
    for match in [match for http in http_of(obj) for match in matches_of(http)]:
        headers = frozenset((name, value.get("exact", "")) for name, value in match.get("headers", {}).items())
        out += [(host, headers, path, holder) for host, path in _places(obj, match)]
    return out


def splits_of(obj: Manifest) -> tuple[Split, ...]:
    """Return how each HTTP route of a VirtualService that sends requests splits them, each way once."""
    return tuple(dict.fromkeys(found for http in http_of(obj) if (found := _split_of(http))))


def _split_of(http: Manifest) -> Split:
    weights: dict[tuple[str, str], int] = {}
    targets = http.get("route") or []
    for target in targets:
        destination = target.get("destination") or {}
        place = (str(destination.get("host") or ""), str(destination.get("subset") or ""))
        # Istio sends a single destination everything, and of several one without a weight nothing.
        weights[place] = weights.get(place, 0) + (100 if len(targets) == 1 else int(target.get("weight") or 0))
    return tuple((*place, weight) for place, weight in sorted(weights.items()) if weight > 0)


def delegates_of(obj: Manifest) -> tuple[tuple[str, str], ...]:
    """Return (namespace, name) of the VirtualServices to which a VirtualService leaves routes."""
    own = obj["metadata"].get("namespace", "")
    found = [http["delegate"] for http in http_of(obj) if http.get("delegate")]
    return tuple((delegate.get("namespace") or own, delegate.get("name", "")) for delegate in found)


def destinations_of(obj: Manifest) -> Iterator[str | None]:
    """Yield the hosts to which a VirtualService sends or copies requests; None for what it leaves to another one."""
    for http in http_of(obj):
        for target in [*(http.get("route") or []), *mirrors_of(http)]:
            yield (target.get("destination") or {}).get("host")
        if "delegate" in http:
            yield None


def without(obj: Manifest, places: Collection[tuple[str, str]]) -> Manifest | None:
    """Return a VirtualService as read back without its routes for some (host, path); None where none is left."""
    spec, left, hosts = obj.get("spec") or {}, [], set()
    for http in http_of(obj):
        kept = [match for match in matches_of(http) if not set(_places(obj, match)) & set(places)]
        if kept:
            left.append({**http, "match": kept})
            hosts |= {host for match in kept for host, _ in _places(obj, match)}
    metadata = {name: obj["metadata"].get(name) or {} for name in ("name", "namespace", "labels")}
    head = {"apiVersion": obj["apiVersion"], "kind": obj["kind"], "metadata": metadata}
    return {**head, "spec": {**spec, "hosts": sorted(hosts), "http": left}} if left else None


def _places(obj: Manifest, match: Manifest) -> list[tuple[str, str]]:
    """Return (host, path) of what a match takes."""
    path = match.get("uri", {}).get("exact") or match.get("uri", {}).get("prefix", "/")
    authority = match.get("authority", {}).get("regex", "").removeprefix(ANY_CASE).removesuffix(ANY_PORT)
    hosts = (obj.get("spec") or {}).get("hosts") or []
    return [(host, path.rstrip("/") or "/") for host in hosts if authority in ("", re.escape(host))]


def _gateways(model: ServedModel, hosts: list[str]) -> list[str]:
    """Return the Gateways through which a model is reached, as namespace/name.

    Under a shared certificate that is the tenant's own as well: its plain server redirects, and istiod answers there
    only for hosts of VirtualServices that are bound to it.
    """
    tenant = model.tenant
    found = {name for host in hosts for name in _gateways_of(tenant, host)}
    # Without any, Istio would take it for the mesh. The tenant's own Gateway does not list what it does not serve.
    own = {f"{pool.namespace}/{names.tenant_gateway(tenant.name, pool, tenant.adopted)}" for pool in tenant.gateways}
    return sorted(found or own)


def _gateways_of(tenant: Tenancy, host: str) -> Iterator[str]:
    found = names.claim_of(tenant, host)
    if found is None:
        return
    owner, adopted = (found.owner, found.adopted) if isinstance(found, LentHost) else (tenant.name, tenant.adopted)
    for pool in tenant.gateways:
        if isinstance(found, LentHost) and pool.name not in found.gateways:
            continue
        listener = names.listener_for(pool, host, found.credential)
        shared = listener.domain if listener else None
        if shared:
            yield f"{pool.namespace}/{names.domain_gateway(pool, shared)}"
        if not shared or names.plain_listener(pool):
            yield f"{pool.namespace}/{names.tenant_gateway(owner, pool, adopted)}"


def _precedence(route: RouteFacts) -> tuple[int, int, str]:
    """Put the longer path and the narrower match first: within one VirtualService the first match wins."""
    return (-len(route.path.rstrip("/")), -len(route.headers), route.name)


def _http(model: ServedModel, route: RouteFacts, by_authority: bool) -> list[Manifest]:
    matches = _matches(route, by_authority)
    if model.closed is not None:
        return _closed(model, route, matches, model.closed)
    targets = _destinations(model, route)
    out: Manifest = {"name": route.name + (STICKY if model.sticky and len(targets) > 1 else ""), "match": matches}
    if route.cors:
        out["corsPolicy"] = _cors(route.cors)
    out["route"] = targets
    if mirrors := _mirrors(model, route):
        out["mirrors"] = mirrors
    if route.timeout:
        out["timeout"] = route.timeout
    out["retries"] = _retries(route)
    if headers := _headers(route.request, route.response):
        out["headers"] = headers
    if rewrite := _rewrite(route):
        out["rewrite"] = rewrite
    return [*(arm_rule(out, arm, _destination(model, route, arm.version)) for arm in model.arms), out]


def _destinations(model: ServedModel, route: RouteFacts) -> list[Manifest]:
    """Return the versions with a weight; where a hash decides, in the order of their names: a caller whose hash lies
    below a weight stays there when the document lists them in another order."""
    found = [version for version in model.versions if version.weight > 0]
    if model.sticky:
        found.sort(key=lambda version: version.name)
    return [{"destination": _destination(model, route, version.name), "weight": version.weight} for version in found]


def _mirrors(model: ServedModel, route: RouteFacts) -> list[Manifest]:
    return [
        {"destination": _destination(model, route, version.name), "percentage": {"value": version.mirror}}
        for version in model.versions
        if version.mirror > 0
    ]


def _destination(model: ServedModel, route: RouteFacts, version: str) -> Manifest:
    return {"host": service_host(model), "port": {"number": route.port}, "subset": version}


def _closed(model: ServedModel, route: RouteFacts, matches: list[Manifest], sentence: str) -> list[Manifest]:
    """Return the 503 of a model that takes no requests.

    Envoy's CORS filter leaves alone what no cluster answers. So that a web page can read why, its origin is matched
    here; and preflights have a route to the model, of which the filter lets none through.
    """
    refused = {"status": 503, "body": {"string": sentence}}
    out: list[Manifest] = [{"name": route.name, "match": matches, "directResponse": refused}]
    again = {} if model.retry_after is None else {"retry-after": str(model.retry_after)}
    if again:
        out[0]["headers"] = {"response": {"set": again}}
    if route.cors is None:
        return out
    seen = {**again, "access-control-allow-origin": "%REQ(origin)%"}
    if route.cors.credentials:
        seen["access-control-allow-credentials"] = "true"
    if route.cors.exposed:
        seen["access-control-expose-headers"] = ",".join(route.cors.exposed)
    origins = [{} if text == "*" else {how: text} for how, text in route.cors.origins]
    found = [_with(match, {"origin": origin}) for match in matches for origin in origins]
    out.insert(0, {**out[0], "match": found, "headers": {"response": {"set": seen}}})
    destinations = _destinations(model, route)
    if destinations and not route.headers:
        asked = [{**_with(match, _PREFLIGHT), "method": {"exact": "OPTIONS"}} for match in matches]
        answered = {"corsPolicy": _cors(route.cors), "route": destinations, "retries": {"attempts": 0}}
        out.insert(0, {"name": route.name, "match": asked, **answered})
    return out


def _with(match: Manifest, headers: Manifest) -> Manifest:
    return {**match, "headers": {**match.get("headers", {}), **headers}}


def _is_preflight(http: Manifest) -> bool:
    return all(_PREFLIGHT.items() <= (match.get("headers") or {}).items() for match in matches_of(http))


def _rewrite(route: RouteFacts) -> Manifest:
    """Return how Istio rewrites a request.

    Its `uri` replaces what the match took. A route matches `/chat` and `/chat/`, and no one text fits both: one of them
    would lose a slash or get a second one. So the path is replaced by an expression.
    """
    asked, own = route.rewrite, re.escape(route.path)
    if asked is None:
        return {}
    out: Manifest = {"authority": asked.host} if asked.host else {}
    if asked.path:
        out["uriRegexRewrite"] = {"match": "^/.*$", "rewrite": asked.path}
    elif asked.prefix == "/":
        out["uriRegexRewrite"] = {"match": f"^{own}/?", "rewrite": "/"} if route.path != "/" else None
    elif asked.prefix:
        ended = "" if route.path != "/" else "/"
        out["uriRegexRewrite"] = {"match": f"^{own}", "rewrite": asked.prefix + ended}
    return {name: value for name, value in out.items() if value}


def _cors(cors: CorsFacts) -> Manifest:
    """Return a CorsPolicy. A preflight of another origin is answered too: Istio would let it through to the model."""
    out: Manifest = {
        "allowOrigins": [{how: text} for how, text in cors.origins],
        "allowMethods": list(cors.methods),
        "allowHeaders": list(cors.headers),
        "exposeHeaders": list(cors.exposed),
        "maxAge": f"{cors.max_age}s" if cors.max_age else None,
        "allowCredentials": cors.credentials or None,
        "unmatchedPreflights": "IGNORE",
    }
    return {name: value for name, value in out.items() if value}


def _matches(route: RouteFacts, by_authority: bool) -> list[Manifest]:
    """Match a path and what lies below it: a bare prefix would take /ranker2 for /ranker."""
    uris = [{"prefix": "/"}] if route.path == "/" else [{"exact": route.path}, {"prefix": f"{route.path}/"}]
    common: Manifest = {}
    if route.headers:
        common["headers"] = {name: {"exact": value} for name, value in route.headers}
    if by_authority:
        common["authority"] = {"regex": f"{ANY_CASE}{re.escape(route.host)}{ANY_PORT}"}
    return [{"uri": uri, **common} for uri in uris]


def _retries(route: RouteFacts) -> Manifest:
    if route.attempts == 0:
        return {"attempts": 0}
    out: Manifest = {"attempts": route.attempts, "retryOn": RETRY_ON}
    if route.per_try:
        out["perTryTimeout"] = route.per_try
    return out


def _headers(request: HeaderEdits, response: HeaderEdits) -> Manifest:
    out = {"request": _edits(request), "response": _edits(response)}
    return {side: edits for side, edits in out.items() if edits}


def _edits(edits: HeaderEdits) -> Manifest:
    out = {"set": dict(edits.set), "add": dict(edits.add), "remove": list(edits.remove)}
    return {verb: value for verb, value in out.items() if value}


def _is_arm(http: Manifest) -> bool:
    return arm_of(str(http.get("name") or "")) != ""


def weights_of(virtual_service: Manifest) -> dict[str, int]:
    """Return the weights by which a VirtualService sends requests to versions, those of its arms left out."""
    rules = [http for http in http_of(virtual_service) if not _is_preflight(http) and not _is_arm(http)] or [{}]
    return {route["destination"].get("subset", ""): route.get("weight", 100) for route in rules[0].get("route") or []}
