"""A tenant for each namespace that routes requests, with the hosts that it routes."""

from collections import defaultdict
from dataclasses import dataclass, field

from istio_templates.documents.fields import lies_in
from istio_templates.facts import Manifest
from k8s_manager.importers.gateways import Gateways
from k8s_manager.importers.proposal import Note, Proposal


@dataclass(slots=True)
class Tenants:
    """What the models of each namespace need: hosts with the paths that are routed there, and gateways."""

    hosts: dict[str, dict[str, set[str]]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(set)))
    gateways: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))

    def uses(self, namespace: str, host: str, paths: set[str], gateway: str) -> None:
        """Note that a namespace routes paths of a host through a gateway."""
        self.hosts[host][namespace] |= paths
        self.gateways[namespace].add(gateway)


def propose(tenants: Tenants, gateways: Gateways, proposal: Proposal) -> None:
    """Propose a Tenant for each namespace; a host of several is the first one's, who lends the others paths."""
    claims: dict[str, list[Manifest]] = defaultdict(list)
    for host, users in sorted(tenants.hosts.items()):
        owner, *others = sorted(users)
        claim: Manifest = {"name": host}
        if secret := gateways.certificate(host):
            claim["tls"] = {"credentialName": secret}
        lent = [{"path": path, "tenant": other} for other in others for path in _outermost(users[other])]
        if others:
            said = (
                f"is routed from {', '.join(sorted(users))}; proposed: {owner} owns it and lends the others their paths"
            )
            proposal.notes.append(Note(f"host {host}", "", said))
        claims[owner].append({**claim, **({"delegations": lent} if lent else {})})
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
            said = "has no host of its own, only paths that it is lent: no Tenant is proposed, claim a host for it"
            proposal.notes.append(Note(f"namespace {namespace}", "", said))
            continue
        spec = {"namespace": namespace, "gateway": {"name": gateway}, "hosts": claims.get(namespace, [])}
        proposal.put("Tenant", namespace, spec)
        said = f"is there already; hand it over: kubectl label namespace {namespace} tidegate.dev/tenant={namespace}"
        proposal.notes.append(Note(f"namespace {namespace}", "", said))
    homeless = {key.namespace for key in proposal.documents if key.kind == "Model"} - tenants.gateways.keys()
    for namespace in sorted(homeless):
        said = "has models and no Tenant is proposed: no route of theirs was read; make one that claims their hosts"
        proposal.notes.append(Note(f"namespace {namespace}", "", said))


def _outermost(paths: set[str]) -> list[str]:
    """Return the paths that lie in no other, without the whole host."""
    kept = sorted(path for path in paths if path != "/")
    return [path for path in kept if not any(path != other and lies_in(path, other) for other in kept)]
