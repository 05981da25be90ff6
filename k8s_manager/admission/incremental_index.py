"""Claim index that follows the documents, for callers who ask all the time. Pure, but for what it remembers.

It is updated where documents only claim more, and built again where one gives something up.
"""

from collections.abc import Mapping

from istio_templates.documents import Document
from istio_templates.facts import ObjectKey
from k8s_manager.admission.admit import AdmissionResult, admit, by_seniority, index_accepted, is_same
from k8s_manager.admission.claim_index import ClaimIndex, claims_of
from k8s_manager.admission.rules.warmup_rules import PlanChecks
from k8s_manager.world.world import Bound, Stored, World

Documents = Mapping[ObjectKey, Document]
Results = Mapping[ObjectKey, AdmissionResult]


class IncrementalIndex:
    """Follows the documents from one moment to the next.

    A document that claims more than before is added to the index. Where one claims less, is rejected or gone, others
    may have what it claimed, and the index is built again.
    """

    def __init__(self, plans: PlanChecks) -> None:
        self._plans = plans
        self._index: ClaimIndex | None = None
        self._world: World | None = None
        self._results: Results | None = None
        self._seen: dict[ObjectKey, Stored] = {}
        self._accepted: dict[ObjectKey, Document] = {}
        self._pending: Documents = {}
        self._has_grown = False

    def update(self, world: World, last: World | None, results: Results, pending: Documents) -> ClaimIndex:
        """Return the claims in `world`, and those of documents whose writes are under way (`pending`).

        What the admission `results` of the `last` world accept, and is as it was, is not admitted again.
        """
        index = self._follow(world, results, pending)
        if index is None:
            index, self._accepted = index_accepted(world, last, results, self._plans)
            self._seen = {stored.key: stored for stored in world.documents()}
            self._index, self._pending = index, {}
        self._world, self._results = world, results
        for key, document in pending.items():
            if self._pending.get(key) is not document:
                index.add(document)
        self._pending = dict(pending)
        return index

    def _follow(self, world: World, results: Results, pending: Documents) -> ClaimIndex | None:
        """Return the updated index; None where it has to be built again."""
        index, before = self._index, self._world
        if index is None or before is None or not self._agrees(results) or _is_given_up(before.bound, world.bound):
            return None
        index.observe(world)
        self._has_grown = False
        changed = [
            [stored for stored in now if self._seen.get(stored.key) is not stored]
            for was, now in zip(before.kinds(), world.kinds(), strict=True)
            if was is not now
        ]
        newcomers = {stored.key for kind in changed for stored in kind if self._may_serve(stored)}
        changed_bound = before.bound is not world.bound
        if (changed_bound or newcomers) and not index.reserve(world, None if changed_bound else newcomers):
            return None
        followed = all(self._add(index, stored) for stored in by_seniority(changed))
        none_gone = len(self._seen) == sum(len(kind) for kind in world.kinds())
        # With more claims in the index, what was rejected before may be accepted now.
        complete = not self._has_grown or len(self._seen) == len(self._accepted)
        return index if followed and none_gone and complete and self._have_arrived(pending) else None

    def _may_serve(self, stored: Stored) -> bool:
        """Tell whether a document may own live objects that were not its own: it is new, or claims other hosts."""
        before = self._seen.get(stored.key)
        return before is None or (stored.key.kind == "Tenant" and not is_same(before, stored))

    def _agrees(self, results: Results) -> bool:
        """Tell whether the newest results accept what is indexed here, and nothing else that they know."""
        if results is self._results:
            return True
        return all(result.accepted == (key in self._accepted) for key, result in results.items())

    def _have_arrived(self, pending: Documents) -> bool:
        """Tell whether the documents of writes that have ended are indexed as they were written."""
        ended = self._pending.keys() - pending.keys()
        return all((found := self._accepted.get(k)) and found.spec == self._pending[k].spec for k in ended)

    def _add(self, index: ClaimIndex, stored: Stored) -> bool:
        """Add a document that is new or has changed; return False where it claims less than before."""
        before, accepted = self._seen.get(stored.key), self._accepted.get(stored.key)
        self._seen[stored.key] = stored
        if before is not None and is_same(before, stored) and before.document == stored.document:
            return True
        if stored.document is None or not admit(stored, index, self._plans).accepted:
            # Rejected only because of a pending write, it may be accepted when that write fails.
            return before is None and not self._pending
        if accepted is not None and not claims_of(accepted) <= claims_of(stored.document):
            return False
        self._has_grown |= accepted is None or not claims_of(stored.document) <= claims_of(accepted)
        index.add(stored.document)
        self._accepted[stored.key] = stored.document
        return True


def _is_given_up(before: Bound, now: Bound) -> bool:
    """Tell whether live objects no longer serve something that they served."""
    if before is now:
        return False
    pairs = ((before.hosts, now.hosts), (before.routed, now.routed), (before.routes, now.routes))
    return not all(set(had) <= set(has) for had, has in pairs)
