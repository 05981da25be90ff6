"""A tenant for each namespace that routes requests, with the hosts that it routes."""

from collections import defaultdict
from dataclasses import dataclass, field

from istio_templates.documents.fields import lies_in, route_path
from istio_templates.facts import Manifest
from k8s_manager.importers.gateways import Gateways
from k8s_manager.importers.proposal import Note, Proposal

UNDECIDED = "is empty: name the hosts that its people may claim; a limit for a route of others (attachTo) needs none"


@dataclass(slots=True)
class Tenants:
    """What the models of each namespace need: hosts with the paths that are routed there, and gateways."""

    hosts: dict[str, dict[str, set[str]]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(set)))
    gateways: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))

    def uses(self, namespace: str, hosts: list[str], paths: set[str], gateway: str) -> None:
        """Note that a namespace routes paths of hosts, perhaps of none that can be named, through a gateway."""
        self.gateways[namespace].add(gateway)
        for host in hosts:
            self.hosts[host][namespace] |= paths


def propose(tenants: Tenants, gateways: Gateways, proposal: Proposal) -> None:
    """Propose a Tenant for each namespace; a host of several belongs to the first one, which delegates paths to the
    others."""
    claims: dict[str, list[Manifest]] = defaultdict(list)
    for host, users in sorted(tenants.hosts.items()):
        owner, *others = sorted(users)
        gateway = min(tenants.gateways[owner])
        if not gateways.serves(gateway, host):
            said = f"is not claimed for namespace {owner}: no listener that is proposed for {gateway} serves it"
            proposal.notes.append(Note(f"host {host}", "", said))
            continue
        claim: Manifest = {"name": host}
        if secret := gateways.certificate(gateway, host):
            claim["tls"] = {"credentialName": secret}
        delegated = [{"path": path, "tenant": other} for other in others for path in _delegable(users[other])]
        if others:
            said = f"is routed from {', '.join(sorted(users))}; proposed: {owner} owns it and delegates paths"
            proposal.notes.append(Note(f"host {host}", "", said))
        claims[owner].append({**claim, **({"delegations": delegated} if delegated else {})})
        if secret:
            said = "is served plainly too, where theirs does: its own certificate makes plain HTTP redirect"
            proposal.notes.append(Note(f"host {host}", "", said))
    for namespace, names in sorted(tenants.gateways.items()):
        gateway, *more = sorted(names)
        if more:
            proposal.notes.append(
                Note(f"namespace {namespace}", "", f"uses {', '.join(sorted(names))}; {gateway} is proposed")
            )
        if namespace not in claims:
            proposal.notes.append(Note(f"Tenant {namespace}", "spec.hosts", UNDECIDED))
        spec = {"namespace": namespace, "gateway": {"name": gateway}, "hosts": claims.get(namespace, [])}
        proposal.put("Tenant", namespace, spec)
        said = f"is there already; hand it over: kubectl label namespace {namespace} tidegate.dev/tenant={namespace}"
        proposal.notes.append(Note(f"namespace {namespace}", "", said))
    models = {key.namespace for key in proposal.documents.keys() - proposal.standing.keys() if key.kind == "Model"}
    homeless = models - tenants.gateways.keys()
    for namespace in sorted(homeless):
        said = "has models and no Tenant is proposed: no route of theirs was read; make one that claims their hosts"
        proposal.notes.append(Note(f"namespace {namespace}", "", said))


def _delegable(paths: set[str]) -> list[str]:
    """Return the paths that lie in no other, without the whole host and what no route of Tidegate's can say."""
    kept = sorted(path for path in paths if path != "/" and _is_plain(path))
    return [path for path in kept if not any(path != other and lies_in(path, other) for other in kept)]


def _is_plain(path: str) -> bool:
    try:
        return route_path(path) == path
    except ValueError:
        return False
