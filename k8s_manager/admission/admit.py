"""Admission: whether every document is accepted. Pure, but for what `Admitter` remembers.

Documents are admitted in order: those that were accepted before keep what they claim, then the older come first. The
REST API asks the same rules before it writes that the main loop asks of what came by kubectl.
"""

import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from istio_templates.documents import (
    AccessGrantSpec,
    CallerSpec,
    Document,
    InferenceGatewaySpec,
    LimitOverrideSpec,
    ModelSpec,
    ModelVersionSpec,
    TenantSpec,
    WarmupPlanSpec,
)
from istio_templates.errors import Problem
from istio_templates.facts import ObjectKey
from k8s_manager.admission.claim_index import ClaimIndex, claims_of
from k8s_manager.admission.rules.gateway_rules import check_gateway
from k8s_manager.admission.rules.model_rules import check_model
from k8s_manager.admission.rules.override_rules import check_override
from k8s_manager.admission.rules.rejection import Reason, Rejection
from k8s_manager.admission.rules.tenant_document_rules import check_caller, check_version
from k8s_manager.admission.rules.tenant_rules import check_tenant
from k8s_manager.admission.rules.warmup_rules import PlanChecks, check_plan
from k8s_manager.world.world import Stored, World

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class AdmissionResult:
    """Whether a document is accepted; `problems` say why not."""

    accepted: bool
    reason: Reason | None = None
    problems: tuple[Problem, ...] = ()


class Admitter:
    """Admits the documents of world after world.

    A result depends on what the documents before it claim. Where nothing has changed but models that claim what they
    claimed, only those are admitted again. Their order counts as long as one document is rejected: accepted ones do not
    exclude each other.
    """

    def __init__(self, plans: PlanChecks | None = None) -> None:
        self._plans = plans or PlanChecks()
        self._seen: dict[ObjectKey, Stored] = {}
        self._around: tuple[object, ...] = ()
        self._kinds: tuple[object, ...] = ()
        self._index = ClaimIndex()
        self._results: dict[ObjectKey, AdmissionResult] = {}

    def admit(self, world: World) -> dict[ObjectKey, AdmissionResult]:
        """Return the admission result of every document."""
        routes = (world.foreign, world.selecting, world.gateway_api)
        around = (self._plans.version, world.namespaces, world.bound, routes, world.files, world.ungated)
        if (self._kinds, self._around) == (world.kinds(), around):
            return self._results
        now = {stored.key: stored for stored in world.documents()}
        found = self._update(world, now) if self._around == around and now.keys() == self._seen.keys() else None
        self._results = found if found is not None else self._admit_all(world)
        self._seen, self._around, self._kinds = now, around, world.kinds()
        return self._results

    def _update(self, world: World, now: Mapping[ObjectKey, Stored]) -> dict[ObjectKey, AdmissionResult] | None:
        """Return the results with only the changed models admitted again; None where that is not enough."""
        pairs = [(self._seen[key], stored) for key, stored in now.items() if self._seen[key] is not stored]
        reordered = any(_seniority(before) != _seniority(stored) for before, stored in pairs)
        if reordered and not all(result.accepted for result in self._results.values()):
            return None  # one that was rejected may now come first
        changed = [(before, stored) for before, stored in pairs if not _is_alike(before, stored)]
        if not all(self._has_same_claims(before, stored) for before, stored in changed):
            return None
        self._index.observe(world)
        results = dict(self._results)
        for _, stored in changed:
            results[stored.key] = result = admit(stored, self._index, self._plans)
            if not result.accepted or stored.document is None:
                return None
            self._index.add(stored.document)
        return results

    def _has_same_claims(self, before: Stored, now: Stored) -> bool:
        """Tell whether a document is a model, a version of one or a caller, was accepted, and claims what it did."""
        return (
            self._results[now.key].accepted
            and before.document is not None
            and now.document is not None
            and isinstance(now.document.spec, ModelSpec | ModelVersionSpec | CallerSpec)
            and claims_of(before.document) == claims_of(now.document)
        )

    def _admit_all(self, world: World) -> dict[ObjectKey, AdmissionResult]:
        self._index = _reserved(world)
        results: dict[ObjectKey, AdmissionResult] = {}
        for stored in by_seniority(world.kinds()):
            results[stored.key] = result = admit(stored, self._index, self._plans)
            if result.accepted and stored.document:
                self._index.add(stored.document)
        return results


def admit(stored: Stored, index: ClaimIndex, plans: PlanChecks) -> AdmissionResult:
    """Return the admission result of one document, given the claims of those before it."""
    if stored.document is None:
        return AdmissionResult(False, "Invalid", stored.problems)
    try:
        found = rejections(stored.document, index, plans)
    except Exception as error:  # one unforeseen document must not stop all the others
        log.exception("%s cannot be checked", stored.key)
        problem = Problem("", f"the manager failed to check this document ({error!r}); change it, or report the error")
        return AdmissionResult(False, "Invalid", (problem,))
    if not found:
        return AdmissionResult(True)
    return AdmissionResult(False, found[0].reason, tuple(rejection.problem for rejection in found))


def rejections(document: Document, index: ClaimIndex, plans: PlanChecks) -> list[Rejection]:
    """Return every reason against a document. What it claims itself, now or in an older form, is none."""
    namespace, name = document.namespace or "", document.name
    match document.spec:
        case InferenceGatewaySpec() as spec:
            return list(check_gateway(name, spec, index))
        case TenantSpec() as spec:
            return list(check_tenant(name, spec, index))
        case ModelSpec() as spec:
            return list(check_model((namespace, name), spec, index, plans))
        case LimitOverrideSpec() as spec:
            return list(check_override(namespace, spec, index))
        case WarmupPlanSpec() as spec:
            return list(check_plan(namespace, spec, index.files, plans))
        case ModelVersionSpec() as spec:
            return list(check_version((namespace, name), spec, index))
        case CallerSpec():
            return list(check_caller(namespace, index))
        case AccessGrantSpec():
            return []


def index_accepted(
    world: World, last: World | None, results: Mapping[ObjectKey, AdmissionResult], plans: PlanChecks
) -> tuple[ClaimIndex, dict[ObjectKey, Document]]:
    """Return the claims of all accepted documents, and these documents. Those that are as they were in the `last` world
    and were accepted then, by its `results`, still are: they are not admitted again."""
    index, accepted = _reserved(world), {}
    known = {stored.key: stored for stored in last.documents()} if last else {}
    for stored in by_seniority(world.kinds()):
        before, result = known.get(stored.key), results.get(stored.key)
        if before is None or result is None or not result.accepted or not is_same(before, stored):
            result = admit(stored, index, plans)
        if result.accepted and stored.document:
            index.add(stored.document)
            accepted[stored.key] = stored.document
    return index, accepted


def is_same(before: Stored, now: Stored) -> bool:
    """Tell whether a document is as its authors left it before."""
    return (before.uid, before.generation, before.deleting) == (now.uid, now.generation, now.deleting)


def by_seniority(kinds: Iterable[Iterable[Stored]]) -> Iterator[Stored]:
    """Yield documents, kind after kind, in the order in which they are admitted."""
    for kind in kinds:
        yield from sorted(kind, key=_seniority)


def _is_alike(before: Stored, now: Stored) -> bool:
    """Tell whether a document has the same content as before."""
    return before.document == now.document and before.problems == now.problems


def _reserved(world: World) -> ClaimIndex:
    index = ClaimIndex()
    index.observe(world)
    index.reserve(world)
    return index


def _seniority(stored: Stored) -> tuple[bool, bool, str, str]:
    return (not stored.incumbent, not stored.accepted_before, stored.created, str(stored.key))
