"""The fleet as it is now, for those who ask all the time: brought up to date, and made anew only where something is
given up. Pure, but for what it remembers."""

from collections.abc import Mapping

from istio_templates.documents import Document
from istio_templates.facts import ObjectKey
from k8s_manager.admission.admit import AdmissionResult, by_seniority, fleet_of, is_same, verdict_on
from k8s_manager.admission.claim_index import ClaimIndex, holdings
from k8s_manager.world.world import Bound, Stored, World

Documents = Mapping[ObjectKey, Document]
Results = Mapping[ObjectKey, AdmissionResult]


class IncrementalIndex:
    """Follows the documents from one moment to the next.

    A document that holds more than before is added to the fleet. Where one holds less, is refused or gone, others may
    have what it held, and the fleet is made anew.
    """

    def __init__(self) -> None:
        self._fleet: ClaimIndex | None = None
        self._world: World | None = None
        self._results: Results | None = None
        self._seen: dict[ObjectKey, Stored] = {}
        self._held: dict[ObjectKey, Document] = {}
        self._promised: Documents = {}
        self._grown = False

    def fleet(self, world: World, last: World | None, results: Results, pending: Documents) -> ClaimIndex:
        """Return what is held in `world`, and by documents that are on their way there (`pending`).

        What the admission `results` of the `last` world accept, and is as it was, is not checked again.
        """
        fleet = self._followed(world, results, pending)
        if fleet is None:
            fleet, self._held = fleet_of(world, last, results)
            self._seen = {stored.key: stored for stored in world.documents()}
            self._fleet, self._promised = fleet, {}
        self._world, self._results = world, results
        for key, document in pending.items():
            if self._promised.get(key) is not document:
                fleet.hold(document)
        self._promised = dict(pending)
        return fleet

    def _followed(self, world: World, results: Results, pending: Documents) -> ClaimIndex | None:
        """Return the fleet, brought up to date; None where that cannot be done."""
        fleet, before = self._fleet, self._world
        if fleet is None or before is None or not self._agrees(results) or _is_given_up(before.bound, world.bound):
            return None
        fleet.see(world)
        self._grown = False
        changed = [
            [stored for stored in now if self._seen.get(stored.key) is not stored]
            for was, now in zip(before.kinds(), world.kinds(), strict=True)
            if was is not now
        ]
        newcomers = {stored.key for kind in changed for stored in kind if self._may_serve(stored)}
        changed_bound = before.bound is not world.bound
        if (changed_bound or newcomers) and not fleet.reserve(world, None if changed_bound else newcomers):
            return None
        followed = all(self._takes(fleet, stored) for stored in by_seniority(changed))
        none_gone = len(self._seen) == sum(len(kind) for kind in world.kinds())
        # What was refused may fit by now.
        settled = not self._grown or len(self._seen) == len(self._held)
        return fleet if followed and none_gone and settled and self._have_arrived(pending) else None

    def _may_serve(self, stored: Stored) -> bool:
        """Tell whether live objects may be a document's by now that were not: it is new, or asks for other hosts."""
        before = self._seen.get(stored.key)
        return before is None or (stored.key.kind == "Tenant" and not is_same(before, stored))

    def _agrees(self, results: Results) -> bool:
        """Tell whether the newest results accept what is held here, and nothing else that it knows."""
        if results is self._results:
            return True
        return all(result.accepted == (key in self._held) for key, result in results.items())

    def _have_arrived(self, pending: Documents) -> bool:
        """Tell whether what was promised to writes that have ended is what is held now."""
        ended = self._promised.keys() - pending.keys()
        return all((found := self._held.get(k)) and found.spec == self._promised[k].spec for k in ended)

    def _takes(self, fleet: ClaimIndex, stored: Stored) -> bool:
        """Take in a document that is new or has changed; return False where it holds less than before."""
        before, held = self._seen.get(stored.key), self._held.get(stored.key)
        self._seen[stored.key] = stored
        if before is not None and is_same(before, stored) and before.document == stored.document:
            return True
        if stored.document is None or not verdict_on(stored, fleet).accepted:
            # Against a mere promise, a document that is there may yet be right.
            return before is None and not self._promised
        if held is not None and not holdings(held) <= holdings(stored.document):
            return False
        self._grown |= held is None or not holdings(stored.document) <= holdings(held)
        fleet.hold(stored.document)
        self._held[stored.key] = stored.document
        return True


def _is_given_up(before: Bound, now: Bound) -> bool:
    """Tell whether live objects no longer serve something that they served."""
    if before is now:
        return False
    pairs = ((before.hosts, now.hosts), (before.routed, now.routed), (before.routes, now.routes))
    return not all(set(had) <= set(has) for had, has in pairs)
