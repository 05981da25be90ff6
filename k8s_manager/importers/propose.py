"""From existing objects to documents, in the order gateways, models, tenants."""

from collections.abc import Iterable

from istio_templates.facts import Manifest
from k8s_manager.importers import gateways, http_routes, kubernetes_gateways, servers, tenants, virtual_services
from k8s_manager.importers.autoscale import autoscaler_takeover
from k8s_manager.importers.cluster_objects import ExistingObjects
from k8s_manager.importers.proposal import Note, Proposal


def propose(objects: Iterable[Manifest], take_over: bool) -> Proposal:
    """Return documents for gateways and models that are there, and notes on what they do not say.

    Models limit routes where they are, which changes no existing object; with `take_over`, VirtualServices become
    Tidegate's.
    """
    seen, proposal, found = ExistingObjects(objects), Proposal(), tenants.Tenants()
    proposal.standing.update(seen.documents())
    shared = gateways.Gateways()
    gateways.read(seen, shared, proposal)
    kubernetes_gateways.read(seen, shared, proposal)
    shared.propose(proposal)
    routes = servers.propose(seen, proposal)
    virtual_services.propose(seen, shared, found, routes.limited, take_over, proposal)
    autoscaler_takeover.propose(seen, proposal)
    http_routes.propose(seen, shared, found, routes, take_over, proposal)
    tenants.propose(found, shared, proposal)
    for obj, place in seen.odd:
        proposal.note(obj, place, "has a shape that its kind does not have, and is left out")
    for obj in seen.ignored:
        proposal.notes.append(
            Note(f"{obj.get('kind')} {obj['metadata'].get('name')}", "", "is of no kind that is read")
        )
    return proposal
