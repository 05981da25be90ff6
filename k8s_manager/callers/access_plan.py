"""From accepted documents to what gateways enforce of each tenant's callers. Pure.

What is rejected never opens anything. A Caller that is rejected is unknown, and may call nothing where authentication
is required. A tenant that is rejected keeps how its callers were known; where this manager has not seen that, its
document holds as far as it can be read. Else its status says whether there was authentication, and then only the tokens
that Tidegate issues count. A model that is rejected stays public only where it was.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from istio_templates import names
from istio_templates.callers.access_facts import (
    TIDEGATE_ISSUER,
    AuthenticationFacts,
    CallerFacts,
    IssuerFacts,
    TenantAccess,
)
from istio_templates.documents import CallerSpec, ModelSpec, SpecT, TenantSpec
from istio_templates.documents.callers.authentication import Authentication
from istio_templates.facts import ObjectKey
from k8s_manager.admission.admit import AdmissionResult
from k8s_manager.callers.expiry import Lapse
from k8s_manager.runtime.memo import Last, Memo
from k8s_manager.world.tenant import namespace_of
from k8s_manager.world.world import PublicKey, Stored

REQUIRED, OPTIONAL = "required", "optional"
"""How a tenant's status says that it has authentication."""


@dataclass(frozen=True, slots=True)
class AccessInputs:
    """Documents with their admission results, public keys by tenant, and what of callers is over."""

    tenants: Sequence[Stored[TenantSpec]]
    models: Sequence[Stored[ModelSpec]]
    callers: Sequence[Stored[CallerSpec]]
    admission: Mapping[ObjectKey, AdmissionResult]
    keys: Mapping[str, tuple[PublicKey, ...]] = field(default_factory=dict)
    lapsed: frozenset[Lapse] = frozenset()

    def accepts(self, stored: Stored) -> bool:
        """Tell whether a document is accepted."""
        return self.admission[stored.key].accepted


class AccessPlanner:
    """Plans pass after pass. It remembers how the callers of each tenant were known, and which models were public."""

    def __init__(self) -> None:
        self._memo, self._last = Memo(), Last()
        self._before: Mapping[str, TenantAccess] = {}

    def plan(self, inputs: AccessInputs) -> Mapping[str, TenantAccess]:
        """Return what to enforce by tenant; a tenant without authentication is not in it."""
        return self._last.get((inputs,), partial(self._plan, inputs))

    def _plan(self, inputs: AccessInputs) -> Mapping[str, TenantAccess]:
        models, callers = _by_namespace(inputs.models), _by_namespace(inputs.callers)
        found: dict[str, TenantAccess] = {}
        for stored in inputs.tenants:
            name, before = stored.key.name, self._before.get(stored.key.name)
            namespace = _namespace(stored, before)
            known = self._known(stored, inputs, before)
            if known is not None:
                inside = models.get(namespace, ())
                of_tenant = self._callers(callers.get(namespace, ()), inside, inputs)
                now = _access(name, namespace, known, of_tenant, inside, inputs, before)
                found[name] = before if before is not None and before == now else now
        self._memo.end_round()
        self._before = found
        return found

    def _callers(
        self, callers: Iterable[Stored[CallerSpec]], models: Sequence[Stored[ModelSpec]], inputs: AccessInputs
    ) -> tuple[CallerFacts, ...]:
        found = []
        for stored in callers:
            spec = stored.spec
            if spec is not None and not stored.deleting and inputs.accepts(stored):
                arguments = (stored, spec, models if spec.model_labels else (), inputs.lapsed)
                found.append(self._memo.get(stored.key, arguments, partial(_facts, *arguments)))
        return tuple(sorted(found, key=lambda caller: caller.name))

    def _known(
        self, stored: Stored[TenantSpec], inputs: AccessInputs, before: TenantAccess | None
    ) -> AuthenticationFacts | None:
        """Return how the callers of a tenant are known, without the callers; None without authentication."""
        tenant, spec = stored.key.name, stored.spec
        own = _own_issuer(tenant, inputs)
        if spec is not None and inputs.accepts(stored):
            known = spec.authentication
            return self._memo.get(tenant, (known, own), partial(_authentication, known, own)) if known else None
        if before is not None:
            others = (one for one in before.authentication.issuers if not one.issuer.startswith(TIDEGATE_ISSUER))
            return replace(before.authentication, issuers=(*own, *others), callers=())
        was = stored.status.get("authentication")
        if spec is not None and spec.authentication:
            said = _authentication(spec.authentication, own)
            return replace(said, required=said.required or was == REQUIRED)
        return AuthenticationFacts(own, required=was == REQUIRED) if was in (REQUIRED, OPTIONAL) else None


def _authentication(known: Authentication, own: tuple[IssuerFacts, ...]) -> AuthenticationFacts:
    issuers = (IssuerFacts(one.issuer, one.audiences, one.key_set, one.caller_claim) for one in known.issuers)
    return AuthenticationFacts((*own, *issuers), (), known.required, known.headers, known.forward_token)


def _own_issuer(tenant: str, inputs: AccessInputs) -> tuple[IssuerFacts, ...]:
    """Return the issuer of the tokens that Tidegate issues for a tenant; none before it has a key."""
    keys = [key.jwk for key in inputs.keys.get(tenant, ()) if ("", tenant, key.id) not in inputs.lapsed]
    jwks = f'{{"keys":[{",".join(keys)}]}}'
    return (IssuerFacts(f"{TIDEGATE_ISSUER}{tenant}", (tenant,), jwks),) if keys else ()


def _namespace(stored: Stored[TenantSpec], before: TenantAccess | None) -> str:
    if stored.spec is not None:
        return namespace_of(stored.key.name, stored.spec)
    return before.namespace if before else str(stored.status.get("namespace") or stored.key.name)


def _facts(
    stored: Stored[CallerSpec], spec: CallerSpec, models: Sequence[Stored[ModelSpec]], lapsed: frozenset[Lapse]
) -> CallerFacts:
    revoked = live_revocations(stored, spec, lapsed)
    return CallerFacts(stored.key.name, callable_models(spec, models), _refused(stored, spec, lapsed), revoked)


def callable_models(spec: CallerSpec, models: Iterable[Stored[ModelSpec]]) -> frozenset[str] | None:
    """Return the names of the models of its tenant that a caller may call; None for all."""
    if spec.models is not None:
        return frozenset(spec.models)
    if spec.model_labels is None:
        return None
    asked = spec.model_labels.items()
    return frozenset(one.key.name for one in models if asked <= dict(one.labels).items())


def live_revocations(stored: Stored, spec: CallerSpec, lapsed: frozenset[Lapse]) -> tuple[str, ...]:
    """Return the ids of the tokens of a caller that are revoked and have not expired by themselves."""
    place = (stored.key.namespace, stored.key.name)
    return tuple(sorted(token.id for token in spec.revoked_tokens if (*place, token.id) not in lapsed))


def _refused(stored: Stored, spec: CallerSpec, lapsed: frozenset[Lapse]) -> str:
    if spec.suspended:
        return "suspended"
    return "expired" if (stored.key.namespace, stored.key.name, "") in lapsed else ""


def _access(
    name: str,
    namespace: str,
    known: AuthenticationFacts,
    callers: tuple[CallerFacts, ...],
    models: Sequence[Stored[ModelSpec]],
    inputs: AccessInputs,
    before: TenantAccess | None,
) -> TenantAccess:
    """Return what to enforce of a tenant. A model that is rejected or being deleted may still have its route."""
    routes = {one.key.name: route for one in models if (route := _route(one))}
    were_public = before.public if before else frozenset()
    public = (
        one.key.name
        for one in models
        if (
            one.spec is not None and one.spec.access == "public" if inputs.accepts(one) else one.key.name in were_public
        )
    )
    listed = tuple(sorted(routes.items()))
    return TenantAccess(name, namespace, replace(known, callers=callers), listed, frozenset(public) & routes.keys())


def _route(stored: Stored[ModelSpec]) -> str | None:
    """Return what Envoy's routes to a model say of it; None for an HTTPRoute, whose routes say nothing."""
    attached = stored.spec.attach_to if stored.spec else None
    if attached is None:
        return names.identity(stored.key.namespace, stored.key.name).route
    key = attached.key(stored.key.namespace)
    return names.identity(key.namespace, key.name).route if key.kind == "VirtualService" else None


def _by_namespace(documents: Iterable[Stored[SpecT]]) -> Mapping[str, list[Stored[SpecT]]]:
    found: dict[str, list[Stored[SpecT]]] = defaultdict(list)
    for stored in documents:
        found[stored.key.namespace].append(stored)
    return found
