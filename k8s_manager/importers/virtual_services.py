"""Istio's VirtualServices, as models: limited where they are (`attachTo`), or taken over with their routes."""

from collections.abc import Container, Iterator

from istio_templates.documents.fields import lies_in
from istio_templates.facts import Manifest
from istio_templates.gateway import gateway_named
from k8s_manager.importers.cluster_objects import ExistingObjects, items, namespace_of, part, texts
from k8s_manager.importers.gateways import Gateways, first_of, is_host
from k8s_manager.importers.narrow_rules import narrowed_rules, split_of
from k8s_manager.importers.proposal import UNLIMITED, Proposal
from k8s_manager.importers.route_edits import cors_of, rewrite_of
from k8s_manager.importers.split_reader import Destination, Split, SplitReader
from k8s_manager.importers.tenants import Tenants
from k8s_manager.importers.traffic_matches import MatchReader, brings_to

_KNOWN = ("match", "route", "timeout", "name", "headers", "rewrite", "corsPolicy")
"""What a route of Tidegate's own can say of an HTTP route."""


def propose(
    seen: ExistingObjects,
    gateways: Gateways,
    tenants: Tenants,
    limited: Container[tuple[str, str]],
    take_over: bool,
    proposal: Proposal,
) -> None:
    """Propose a Model for each VirtualService that a gateway serves, unless it is limited already."""
    for service in seen.all("VirtualService"):
        has_model = (namespace_of(service), service["metadata"]["name"]) in limited
        _Import(service, seen, gateways, tenants, proposal).propose(take_over, has_model)


class _Import:
    """One VirtualService."""

    def __init__(
        self, service: Manifest, seen: ExistingObjects, gateways: Gateways, tenants: Tenants, proposal: Proposal
    ) -> None:
        self._service, self._seen, self._proposal = service, seen, proposal
        self._gateways, self._tenants = gateways, tenants
        self._namespace, self._name = namespace_of(service), service["metadata"]["name"]
        self._spec = part(service, "spec")
        self._rules = items(self._spec, "http")
        self._narrowed = narrowed_rules(self._rules)

    def propose(self, take_over: bool, has_model: bool) -> None:
        """Propose its model, unless it has one, and note what that does not say."""
        pool = self._pool()
        if pool is None:
            return
        hosts = self._hosts()
        self._tenants.uses(self._namespace, hosts, self._paths(), pool)
        split = self._split()
        if has_model:
            return
        if not split:
            self._note("spec", "is not proposed: it has no route to a Service")
        elif take_over and not hosts:
            self._note("spec.hosts", "is not proposed: routes of Tidegate's own need a host; name one")
        elif not take_over and self._is_hidden(self._gateways.homes[pool]):
            said = f"is not proposed: it is not exported to {self._gateways.homes[pool]}, where the gateway pods run"
            self._note("spec.exportTo", said)
        else:
            self._model(hosts, split, take_over)

    def _hosts(self) -> list[str]:
        """Return the hosts that a tenant can claim; the others are noted."""
        found = []
        for host in dict.fromkeys(host.lower().removesuffix(".") for host in texts(self._spec, "hosts")):
            if "*" in host or not is_host(host):
                self._note("spec.hosts", f"{host} is not one full host; name the hosts in full")
            elif host.endswith((".svc", ".svc.cluster.local")):
                self._note("spec.hosts", f"{host} is a name inside the cluster, which no tenant claims")
            else:
                found.append(host)
        return found

    def _is_hidden(self, namespace: str) -> bool:
        """Tell whether gateway pods of a namespace do not see it."""
        exported = texts(self._spec, "exportTo") or ["*"]
        return not {"*", namespace} & set(exported) and not ("." in exported and namespace == self._namespace)

    def _model(self, hosts: list[str], split: Split, take_over: bool) -> None:
        reader = SplitReader(self._service, "spec.http", self._seen, self._proposal, in_percent=True)
        if reader.is_of_knative(split, follows=not take_over):
            return
        spec = reader.versions(split, self._matched() if take_over else ())
        if not spec:
            return
        if take_over:
            routes = self._distinct(hosts, split)
            tested = frozenset(name.lower() for route in routes for name in route.get("headers", {}))
            matches = MatchReader(self._service, self._rules, reader.names, self._proposal).read(self._narrowed, tested)
            spec = {"routes": routes, **spec, **({"trafficMatches": matches} if matches else {})}
            self._proposal.leave_out(self._service, "spec", self._spec, ("hosts", "gateways", "http"))
            self._theirs(split)
            self._note("", "is taken over as it is: look at `tidegate plan` first, and set the tenant's drift to adopt")
        else:
            for rule in self._narrowed:
                said = "takes requests past the weights, whose split is proposed; --take-over proposes trafficMatches"
                self._note(f"spec.http[{rule.number}]", said)
            spec = {"attachTo": {"virtualService": self._name}, **spec}
        self._note("", UNLIMITED)
        self._proposal.put("Model", self._name, spec, self._namespace)

    def _matched(self) -> list[Destination]:
        """Return where matches bring requests."""
        found = (brings_to(self._rules[rule.number]) for rule in self._narrowed)
        return [place for place in found if place is not None]

    def _weighted(self) -> list[tuple[int, Manifest]]:
        """Return the rules that are no match's, with their numbers."""
        narrowed = {rule.number for rule in self._narrowed}
        return [(number, http) for number, http in enumerate(self._rules) if number not in narrowed]

    def _paths(self) -> set[str]:
        """Return the paths that it routes, as far as it names them."""
        matches = (match for http in items(self._spec, "http") for match in items(http, "match") or [{}])
        uris = (part(match, "uri") for match in matches)
        return {_bare(_path_of(uri)) for uri in uris}

    def _note(self, place: str, said: str) -> None:
        self._proposal.note(self._service, place, said)

    def _pool(self) -> str | None:
        """Return the gateway that serves it."""
        found = []
        for name in texts(self._spec, "gateways") or ["mesh"]:
            if pool := self._gateways.names.get(gateway_named(name, self._namespace)):
                found.append(pool)
            elif name == "mesh":
                self._note("spec.gateways", "mesh is not Tidegate's: sidecars go on as they are")
            else:
                self._note("spec.gateways", f"Gateway {name} is not among what was read")
        return first_of(found, self._service, "spec.gateways", self._proposal)

    def _split(self) -> Split:
        """Return how its requests are split, by its first route that goes somewhere and is no match's."""
        splits = [split for _, http in self._weighted() if (split := split_of(http))]
        if len({tuple(sorted(split.items())) for split in splits}) > 1:
            self._note(
                "spec.http",
                "splits requests differently on different routes; a model has one split, the first is proposed",
            )
        return splits[0] if splits else {}

    def _theirs(self, split: Split) -> None:
        """Note what of DestinationRules is not taken over."""
        for host in dict.fromkeys(host for host, _ in split):
            for rule in self._seen.rules(host, self._namespace):
                spec = part(rule, "spec")
                self._proposal.leave_out(rule, "spec", spec, ("host", "subsets"))
                for subset in items(spec, "subsets"):
                    self._proposal.leave_out(rule, f"spec.subsets[{subset.get('name')}]", subset, ("name", "labels"))

    def _distinct(self, hosts: list[str], split: Split) -> list[Manifest]:
        """Return the routes that go where the model does, none twice; note where Istio first tries another path than
        the longest."""
        found: dict[str, Manifest] = {}
        for route in self._routes(hosts, {host for host, _ in split}):
            place = f"{route['host']}{route['path']} {sorted(route.get('headers', {}).items())}"
            if place in found:
                self._note("spec.http", f"routes {route['path']} twice; the first counts")
            elif any(_covers(earlier, route) for earlier in found.values()):
                said = f"an earlier route covers {route['path']}; Tidegate tries the longer path first"
                self._note("spec.http", said)
            found.setdefault(place, route)
        return list(found.values())

    def _routes(self, hosts: list[str], going_to: Container[str]) -> Iterator[Manifest]:
        for number, http in self._weighted():
            place = f"spec.http[{number}]"
            if not items(http, "route"):
                self._note(place, "is not expressed: it goes to no Service")
                continue
            away = sorted({host for host in map(_host_of, items(http, "route")) if host not in going_to})
            if away:
                self._note(place, f"is not expressed: it goes to {', '.join(away)}; make a Model for that")
                continue
            for order, target in enumerate(items(http, "route")):
                self._proposal.leave_out(self._service, f"{place}.route[{order}]", target, ("destination", "weight"))
            self._proposal.leave_out(self._service, place, http, _KNOWN)
            more = self._more(place, http)
            for order, match in enumerate(items(http, "match") or [{}]):
                found = self._match(f"{place}.match[{order}]", match)
                if found is not None:
                    found |= self._edits(place, http, part(match, "uri"))
                    yield from ({"host": host, **found, **more} for host in hosts)

    def _edits(self, place: str, http: Manifest, uri: Manifest) -> Manifest:
        """Return what a route does to the requests of one match beside headers."""
        asked = {"rewrite": rewrite_of(uri, part(http, "rewrite"))} if "rewrite" in http else {}
        asked |= {"cors": cors_of(part(http, "corsPolicy"))} if "corsPolicy" in http else {}
        for name, (_, notes) in asked.items():
            for said in notes:
                self._note(f"{place}.{'corsPolicy' if name == 'cors' else name}", said)
        return {name: value for name, (value, _) in asked.items() if value}

    def _more(self, place: str, http: Manifest) -> Manifest:
        """Return what of a route is the same for all its matches."""
        target = part(items(http, "route")[0], "destination")
        host, number = str(target.get("host", "")), part(target, "port").get("number")
        more: Manifest = {"port": self._port(place, host, number)}
        if any(part(part(other, "destination"), "port").get("number") != number for other in items(http, "route")):
            self._note(f"{place}.route", f"goes to several ports; {more['port']} is proposed for all")
        if self._speaks_grpc(host, number):
            more["protocol"] = "grpc"
        if isinstance(http.get("timeout"), str):
            more["timeout"] = http["timeout"]
        for side, name in (("request", "requestHeaders"), ("response", "responseHeaders")):
            if change := part(part(http, "headers"), side):
                more[name] = change
        return more

    def _port(self, place: str, host: str, number: object) -> int:
        """Return the port of the pods behind a destination."""
        chosen = self._chosen(host, number)
        target = chosen.get("targetPort", chosen.get("port"))
        if isinstance(target, int):
            return target
        guessed = number if isinstance(number, int) else 8080
        self._note(f"{place}.route", f"which port the pods of {host} listen on is not known; {guessed} is proposed")
        return guessed

    def _speaks_grpc(self, host: str, number: object) -> bool:
        chosen = self._chosen(host, number)
        said = str(chosen.get("appProtocol") or chosen.get("name") or "")
        return said.partition("-")[0] in ("grpc", "kubernetes.io/h2c")

    def _chosen(self, host: str, number: object) -> Manifest:
        """Return the port of the Service that a destination means; empty where it was not read."""
        service = self._seen.service(host, self._namespace)
        ports = items(part(service, "spec"), "ports") if service else []
        return next((p for p in ports if p.get("port") == number or number is None), {})

    def _match(self, place: str, match: Manifest) -> Manifest | None:
        """Return path and headers of a match; None where it cannot be expressed."""
        uri, headers = part(match, "uri"), part(match, "headers")
        unknown = sorted(map(str, match.keys() - {"uri", "headers", "name"}))
        inexact = sorted(str(name) for name, how in headers.items() if not isinstance(how, dict) or "exact" not in how)
        if unknown or inexact or (uri and not {"exact", "prefix"} & uri.keys()):
            said = [
                *unknown,
                *(f"headers.{name}" for name in inexact),
                *(f"uri.{how}" for how in sorted(uri) if how == "regex"),
            ]
            self._note(
                place, f"is not expressed: {', '.join(said) or 'uri'} (a route has a host, a path and exact headers)"
            )
            return None
        path = _path_of(uri)
        if "exact" in uri:
            self._note(place, f"matched {path} alone; a route matches what lies below it too")
        elif uri and not path.endswith("/"):
            self._note(place, f"matched {path}-other too; a route matches {path} and what lies below it")
        elif path != "/" and path.endswith("/"):
            self._note(place, f"did not match {path.rstrip('/')} alone; a route does")
        found: Manifest = {"path": _bare(path)}
        return {**found, "headers": {name: how["exact"] for name, how in headers.items()}} if headers else found


def _path_of(uri: Manifest) -> str:
    return str(uri.get("prefix", uri.get("exact", "/")))


def _bare(path: str) -> str:
    return path.rstrip("/") or "/"


def _covers(earlier: Manifest, route: Manifest) -> bool:
    same = earlier["host"] == route["host"] and "headers" not in earlier
    return same and lies_in(route["path"], earlier["path"])


def _host_of(target: Manifest) -> str:
    return str(part(target, "destination").get("host", ""))
