"""HTTPRoutes of the Gateway API, as models that limit them where they are (`attachTo`)."""

from fractions import Fraction

from istio_templates.facts import Manifest
from k8s_manager.gather import http_route
from k8s_manager.importers.cluster_objects import ExistingObjects, items, namespace_of, part, texts
from k8s_manager.importers.gateways import Gateways, first_of
from k8s_manager.importers.proposal import UNLIMITED, Proposal
from k8s_manager.importers.servers import ServerRoutes
from k8s_manager.importers.split_reader import Split, SplitReader
from k8s_manager.importers.tenants import Tenants

_KEPT = "stay with it: a Tenant claims the hosts of Tidegate's own routes, and a limit needs none"
_NO_ANSWER = "has no answer of Istio in what was read; the Model is rejected until Istio has accepted it"


def propose(
    seen: ExistingObjects,
    gateways: Gateways,
    tenants: Tenants,
    servers: ServerRoutes,
    take_over: bool,
    proposal: Proposal,
) -> None:
    """Propose a Model for each HTTPRoute that a gateway serves."""
    namesakes = http_route.namesakes_of((*seen.all("HTTPRoute"), *seen.all("GRPCRoute")))
    for route in seen.all("HTTPRoute"):
        place = (namespace_of(route), route["metadata"]["name"])
        if whole := servers.parts.get(place):
            said = (
                f"is not proposed: it is the part of InferenceService {whole} with a host of its own, whose requests "
            )
            proposal.note(route, "", f"{said}the limit of HTTPRoute {whole} does not count")
            continue
        gateway = _gateway(route, gateways, proposal)
        if gateway is None or not _can_be_limited(route, sorted(namesakes[place]), proposal):
            continue
        spec = _served(servers.labels[place]) if place in servers.labels else _by_backends(route, seen, proposal)
        if not spec:
            continue
        tenants.uses(place[0], [], set(), gateway)
        if not any(problem is None for _, problem in http_route.answers_of(route)):
            proposal.note(route, "status.parents", _NO_ANSWER)
        if hosts := texts(part(route, "spec"), "hostnames"):
            proposal.note(route, "spec.hostnames", f"{', '.join(hosts)} {_KEPT}")
        if take_over:
            proposal.note(route, "", "is limited where it is: routes of Tidegate's own are VirtualServices")
        proposal.note(route, "", UNLIMITED)
        proposal.put("Model", place[1], {"attachTo": {"httpRoute": place[1]}, **spec}, place[0])


def _gateway(route: Manifest, gateways: Gateways, proposal: Proposal) -> str | None:
    """Return the gateway that serves an HTTPRoute, as far as Istio has not refused it there."""
    found, answers = [], dict(http_route.answers_of(route))
    for parent in items(part(route, "spec"), "parentRefs"):
        if parent.get("kind", "Gateway") != "Gateway":
            said = f"{parent['kind']} {parent['name']} is not followed; name a Gateway"
            proposal.note(route, "spec.parentRefs", said)
    for name in http_route.gateways_of(route):
        namespace, _, own = name.partition("/")
        pool = gateways.kubernetes.get((namespace, own))
        if pool is None:
            said = f"Gateway {name} was not read, or is left out"
            proposal.note(route, "spec.parentRefs", said)
        elif refused := answers.get(name):
            proposal.note(route, "status.parents", f"Istio has not accepted it at {name}: {refused}")
        else:
            found.append(pool)
    return first_of(found, route, "spec.parentRefs", proposal)


def _can_be_limited(route: Manifest, namesakes: list[str], proposal: Proposal) -> bool:
    """Tell whether Envoy can tell its requests from those of others: it knows them by the names of their routes."""
    for number, rule in enumerate(http_route.rules_of(route)):
        if rule.get("name"):
            said = "is not proposed: Istio gives the rule's route that name alone, which others may have too; remove it"
            proposal.note(route, f"spec.rules[{number}].name", said)
            return False
    if namesakes:
        said = f"is not proposed: {namesakes[0]} has routes of the same names, which would be counted too; rename it"
        proposal.note(route, "metadata.name", said)
    return not namesakes


def _served(labels: dict[str, str]) -> Manifest:
    """Return the version of a model whose pods its server's controller labels."""
    return {"versions": [{"name": "v1", "existing": {"labels": labels}}], "traffic": [{"version": "v1", "weight": 100}]}


def _by_backends(route: Manifest, seen: ExistingObjects, proposal: Proposal) -> Manifest:
    """Return versions and traffic by the first split; nothing where that is not possible."""
    weights = [http_route.weights_of(rule, namespace_of(route)) for rule in http_route.rules_of(route)]
    splits = [found for found in weights if sum(found.values()) > 0]
    if not splits:
        proposal.note(route, "spec.rules", "is not proposed: no rule sends requests to a backend")
        return {}
    if len(http_route.splits_of(route)) > 1:
        said = "split requests differently; a model has one split, the first is proposed"
        proposal.note(route, "spec.rules", said)
    split: Split = {(host, ""): Fraction(weight) for host, weight in splits[0].items()}
    reader = SplitReader(route, "spec.rules", seen, proposal)
    return {} if reader.is_of_knative(split, follows=True) else reader.versions(split)
