"""The one place that decides every call: who it is, how often, and by what right."""

import hashlib
from collections import OrderedDict

from fastapi import FastAPI, Request
from fastapi.routing import APIRoute

from istio_templates.errors import NotFound, Waiting
from k8s_manager.api.authn.authenticators import Authenticators, Unidentified
from k8s_manager.api.problems import Denied
from k8s_manager.authz.endpoints import NEEDS, AccessDecision, Need, Scope, decide, needed
from k8s_manager.authz.grants import of_documents
from k8s_manager.authz.roles import Caller, Grants, Identity
from k8s_manager.history.revision import ChangeAuthor
from k8s_manager.kube.store import Store
from k8s_manager.runtime.clock import Clock
from k8s_manager.runtime.memo import Last
from k8s_manager.runtime.token_bucket import Rate, TokenBuckets
from k8s_manager.runtime.work.work_queue import TURN, TooMany, Turn

MOST_CALLERS = 10_000


class Directory:
    """The grants in force, from the documents that the store holds."""

    def __init__(self, store: Store, prefixed: bool = False) -> None:
        self._store, self._is_prefixed = store, prefixed
        self._last = Last()

    def grants(self) -> Grants:
        """Return them; raises `Waiting` until the documents have been read."""
        if not self._store.synced.is_set():
            raise Waiting("who may do what has not been read yet; try again soon", 1)
        seen = (self._store.changes("AccessGrant"), self._store.changes("Tenant"))
        return self._last.get(
            seen,
            lambda: Grants(of_documents(self._store.all("AccessGrant"), self._store.all("Tenant")), self._is_prefixed),
        )


class Guard:
    """Stands before every route of the application."""

    def __init__(self, proofs: Authenticators, directory: Directory, clock: Clock, pace: Rate, strangers: Rate) -> None:
        self._proofs, self._directory = proofs, directory
        self._buckets, self._strangers = TokenBuckets(clock, pace), TokenBuckets(clock, strangers)
        self._proved = _Proved()

    async def __call__(self, request: Request) -> None:
        """Let a request pass with its caller in `request.state.caller`, or raise why not."""
        need = NEEDS[request.method, request.scope["route"].path]
        if need.place is Scope.OPEN:
            return
        caller = await self._caller(request)
        request.state.caller = caller
        TURN.set(Turn(_tenant_of(caller), caller.identity.name))
        request.state.caller_now = lambda: self.caller(caller.identity)
        request.state.proved_again = lambda: self._proofs.identity(bearer_of(request))
        decision = decide(caller, need, request.path_params)
        if decision is AccessDecision.ALLOWED:
            return
        request.state.exchange.refused = True
        if decision is AccessDecision.HIDDEN:
            raise NotFound(f"there is no Tenant {request.path_params[need.parameter]}")
        raise Denied(_denied(caller, need))

    async def _caller(self, request: Request) -> Caller:
        exchange, address = request.state.exchange, request.client.host if request.client else ""
        token, strangers = bearer_of(request), f"callers without an identity from {address}"
        if not self._proved.holds(token):
            _slowed(self._strangers.wait(address), strangers)
        try:
            identity = await self._proofs.identity(token)
        except Unidentified:
            exchange.refused = True
            _slowed(self._strangers.take(address), strangers)
            raise
        self._proved.keep(token)
        exchange.identity = identity
        _slowed(self._buckets.take(identity.name), identity.user)
        return self.caller(identity)

    async def prove(self, token: str) -> Identity:
        """Return who a token proves; raises as `Authenticators.identity` does."""
        return await self._proofs.identity(token)

    def caller(self, identity: Identity) -> Caller:
        """Return a caller with the grants in force; raises `Waiting` until the documents have been read."""
        grants = self._directory.grants() if identity.is_person else Grants(())
        return Caller(identity, grants.of(identity))


def caller_of(request: Request) -> Caller:
    """Return who makes a call that was let pass."""
    caller: Caller = request.state.caller
    return caller


def change_by(request: Request, reason: str, ticket: str) -> ChangeAuthor:
    """Return the author of a change: the caller."""
    return ChangeAuthor(caller_of(request).identity.user, reason, ticket)


def install(app: FastAPI) -> None:
    """Make sure that every route stands in the table of rights; raises `KeyError` for the first that does not."""
    for route in app.routes:
        if isinstance(route, APIRoute):
            for method in route.methods or ():
                NEEDS[method, route.path]


def _tenant_of(caller: Caller) -> str:
    """Return the tenant in whose turn a call is served: the first that the caller belongs to; empty for who belongs to
    the whole fleet."""
    tenants = sorted(tenant for grant in caller.grants for tenant in grant.tenants)
    return tenants[0] if tenants and all(grant.tenants for grant in caller.grants) else ""


def _slowed(seconds: float, who: str) -> None:
    if seconds:
        raise TooMany(f"{who}: too many calls; slow down", seconds)


def bearer_of(request: Request) -> str | None:
    """Return the bearer token of a request; None where there is none."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def _denied(caller: Caller, need: Need) -> str:
    place = "for this tenant" if need.place is Scope.TENANT else "for the whole fleet"
    roles = " or ".join(role.value for role in needed(need))
    return f"{caller.identity.user} may not {need.right.value} {place}; a platform admin can grant the role {roles}"


class _Proved:
    """Tokens that were verified lately, as hashes."""

    def __init__(self) -> None:
        self._hashes: OrderedDict[bytes, None] = OrderedDict()

    def holds(self, token: str | None) -> bool:
        """Tell whether a token did."""
        return token is not None and _digest(token) in self._hashes

    def keep(self, token: str | None) -> None:
        """Note that a token does."""
        digest = _digest(token or "")
        self._hashes.pop(digest, None)
        self._hashes[digest] = None
        while len(self._hashes) > MOST_CALLERS:
            self._hashes.popitem(last=False)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode(errors="replace")).digest()
