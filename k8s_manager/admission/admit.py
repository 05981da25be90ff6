"""The verdict on every document. Pure, but for what it remembers.

Documents are judged in order: those that were accepted before keep what they hold, then the older come first.
"""

import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from istio_templates.documents import Document, ModelSpec
from istio_templates.errors import Problem
from istio_templates.facts import ObjectKey
from k8s_manager.admission.claim_index import ClaimIndex, holdings
from k8s_manager.admission.model_rules import Reason, refusals
from k8s_manager.world.world import Stored, World

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class AdmissionResult:
    """Whether a document holds what it asks for; `problems` say why not."""

    accepted: bool
    reason: Reason | None = None
    problems: tuple[Problem, ...] = ()


class Admitter:
    """Judges world after world.

    A verdict depends on what the documents before it hold. Where nothing has changed but models that hold what they
    held, only those are judged again. Their order counts as long as one is refused: the accepted ones get along.
    """

    def __init__(self) -> None:
        self._seen: dict[ObjectKey, Stored] = {}
        self._around: tuple[object, ...] = ()
        self._fleet = ClaimIndex()
        self._verdicts: dict[ObjectKey, AdmissionResult] = {}

    def verdicts(self, world: World) -> dict[ObjectKey, AdmissionResult]:
        """Return the verdict on every document."""
        now = {stored.key: stored for stored in world.documents()}
        around = (world.namespaces, world.bound, world.foreign, world.files, world.ungated)
        found = self._followed(world, now) if self._around == around and now.keys() == self._seen.keys() else None
        self._verdicts = found if found is not None else self._anew(world)
        self._seen, self._around = now, around
        return self._verdicts

    def _followed(self, world: World, now: Mapping[ObjectKey, Stored]) -> dict[ObjectKey, AdmissionResult] | None:
        """Return the verdicts, brought up to date; None where that cannot be done."""
        pairs = [(self._seen[key], stored) for key, stored in now.items() if self._seen[key] is not stored]
        reordered = any(_seniority(before) != _seniority(stored) for before, stored in pairs)
        if reordered and not all(verdict.accepted for verdict in self._verdicts.values()):
            return None  # one that was refused may come first by now
        changed = [(before, stored) for before, stored in pairs if not _is_alike(before, stored)]
        if not all(self._holds_the_same(before, stored) for before, stored in changed):
            return None
        self._fleet.see(world)
        verdicts = dict(self._verdicts)
        for _, stored in changed:
            verdicts[stored.key] = verdict = verdict_on(stored, self._fleet)
            if not verdict.accepted or stored.document is None:
                return None
            self._fleet.hold(stored.document)
        return verdicts

    def _holds_the_same(self, before: Stored, now: Stored) -> bool:
        """Tell whether a document is a model that was accepted, and holds what it held."""
        return (
            self._verdicts[now.key].accepted
            and before.document is not None
            and now.document is not None
            and isinstance(now.document.spec, ModelSpec)
            and holdings(before.document) == holdings(now.document)
        )

    def _anew(self, world: World) -> dict[ObjectKey, AdmissionResult]:
        self._fleet = _reserved(world)
        verdicts: dict[ObjectKey, AdmissionResult] = {}
        for stored in by_seniority(world.kinds()):
            verdicts[stored.key] = verdict = verdict_on(stored, self._fleet)
            if verdict.accepted and stored.document:
                self._fleet.hold(stored.document)
        return verdicts


def _is_alike(before: Stored, now: Stored) -> bool:
    """Tell whether a document says what it said."""
    return before.document == now.document and before.problems == now.problems


def fleet_of(
    world: World, last: World | None, verdicts: Mapping[ObjectKey, AdmissionResult]
) -> tuple[ClaimIndex, dict[ObjectKey, Document]]:
    """Return what all accepted documents hold, and these documents. Those that are as they were in the `last` world and
    were accepted then, by its `verdicts`, still are: they are not judged again."""
    fleet, held = _reserved(world), {}
    known = {stored.key: stored for stored in last.documents()} if last else {}
    for stored in by_seniority(world.kinds()):
        before, verdict = known.get(stored.key), verdicts.get(stored.key)
        if before is None or verdict is None or not verdict.accepted or not is_same(before, stored):
            verdict = verdict_on(stored, fleet)
        if verdict.accepted and stored.document:
            fleet.hold(stored.document)
            held[stored.key] = stored.document
    return fleet, held


def is_same(before: Stored, now: Stored) -> bool:
    """Tell whether a document is as people left it before."""
    return (before.uid, before.generation, before.deleting) == (now.uid, now.generation, now.deleting)


def by_seniority(kinds: Iterable[Iterable[Stored]]) -> Iterator[Stored]:
    """Yield documents, kind after kind, in the order in which they are judged."""
    for kind in kinds:
        yield from sorted(kind, key=_seniority)


def _reserved(world: World) -> ClaimIndex:
    fleet = ClaimIndex()
    fleet.see(world)
    fleet.reserve(world)
    return fleet


def _seniority(stored: Stored) -> tuple[bool, bool, str, str]:
    return (not stored.incumbent, not stored.accepted_before, stored.created, str(stored.key))


def verdict_on(stored: Stored, fleet: ClaimIndex) -> AdmissionResult:
    """Return the verdict on one document, given what those before it hold."""
    if stored.document is None:
        return AdmissionResult(False, "Invalid", stored.problems)
    try:
        found = refusals(stored.document, fleet)
    except Exception as error:  # one document that nobody foresaw must not stop all the others
        log.exception("%s cannot be judged", stored.key)
        return AdmissionResult(False, "Invalid", (Problem("", f"cannot be judged ({error!r}); change it"),))
    if not found:
        return AdmissionResult(True)
    return AdmissionResult(False, found[0].reason, tuple(refusal.problem for refusal in found))
