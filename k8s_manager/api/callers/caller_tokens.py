"""Issues and revokes tokens of callers, and rotates the keys that sign them."""

import secrets
from collections.abc import Callable
from datetime import datetime

from istio_templates.documents import CallerSpec, parse
from istio_templates.documents.callers.caller import MOST_REVOKED
from istio_templates.documents.callers.token_lifetime import LONGEST, SHORTEST, lifetime
from istio_templates.documents.override import moment, moment_text
from istio_templates.errors import Conflict, Problem
from istio_templates.facts import Manifest, ObjectKey
from k8s_manager.api.callers.bodies import KeyAnswer, RevocationRequest, TokenAnswer
from k8s_manager.api.concurrency.spec_change import SpecChanges
from k8s_manager.api.services.document_bodies import shown
from k8s_manager.api.services.document_catalog import DocumentCatalog
from k8s_manager.api.services.write_request import WriteRequest
from k8s_manager.callers.key_book import SKEW
from k8s_manager.callers.key_store import KeyStore
from k8s_manager.callers.token import issued
from k8s_manager.runtime.clock import Clock


def random_id() -> str:
    """Return an id that no other token has."""
    return secrets.token_hex(12)


class CallerTokens:
    """Does what calls about tokens ask for. Nothing is kept of a token; its id is the caller's to keep."""

    def __init__(
        self,
        catalog: DocumentCatalog,
        changes: SpecChanges,
        keys: KeyStore,
        clock: Clock,
        new_id: Callable[[], str] = random_id,
    ) -> None:
        self._catalog, self._changes, self._keys, self._clock, self._new_id = catalog, changes, keys, clock, new_id

    async def issue(self, key: ObjectKey, tenant: str, ttl: str, dry_run: bool) -> tuple[Manifest, TokenAnswer]:
        """Issue a token to a caller; return its document, and the token. Raises `Conflict` for a caller that may call
        nothing."""
        live, now = self._catalog.live(key), self._clock.utc()
        expires = _end(key, live, now, ttl)
        if dry_run:
            return live, TokenAnswer(expires=_written(expires))
        signing = await self._keys.signing_key(tenant)
        token = issued(signing, tenant, key.name, self._new_id(), now, expires)
        return live, TokenAnswer(token=token.text, id=token.id, expires=_written(token.expires))

    async def revoke(self, key: ObjectKey, body: RevocationRequest, write: WriteRequest) -> Manifest:
        """Revoke a token of a caller; ids that have expired leave the list. A repeat changes nothing; raises `Conflict`
        where the list is full."""
        now = self._clock.utc()
        expires = body.expires or _written(now + LONGEST + SKEW)

        def add(live: Manifest) -> Manifest:
            revoked = {token.id: token.expires for token in _spec_of(live).revoked_tokens}
            if body.id in revoked and (not body.expires or moment(revoked[body.id]) >= moment(body.expires)):
                return {}
            left = {name: end for name, end in {**revoked, body.id: expires}.items() if moment(end) > now}
            if len(left) > MOST_REVOKED:
                said = f"has {MOST_REVOKED} revoked tokens; rotate the tenant's keys with now, or delete the caller"
                raise Conflict(str(key), [Problem("spec.revokedTokens", said)])
            return {"revokedTokens": [{"id": name, "expires": end} for name, end in left.items()]}

        return await self._changes.change(key, add, write)

    async def rotate(self, tenant: str, at_once: bool, dry_run: bool) -> list[KeyAnswer]:
        """Make a new key that signs the tokens of a tenant; return its keys, the new one first."""
        keys = await self._keys.rotate(tenant, at_once, dry_run)
        return [KeyAnswer(id=key.id, until=key.until) if key.until else KeyAnswer(id=key.id) for key in keys]


def _end(key: ObjectKey, live: Manifest, now: datetime, ttl: str) -> datetime:
    """Return when a token ends: after its lifetime, and never later than its caller."""
    spec = _spec_of(live)
    if "deletionTimestamp" in live["metadata"]:
        raise Conflict(str(key), [Problem("", "is being deleted; create it again, then issue a token")])
    if spec.suspended:
        raise Conflict(str(key), [Problem("spec.suspended", "it may call no model; resume it, then issue a token")])
    end = now + lifetime(ttl)
    if spec.expires and moment(spec.expires) < end:
        end = moment(spec.expires)
    if end < now + SHORTEST:
        said = f"it expires at {spec.expires}; set a later one, then issue a token"
        raise Conflict(str(key), [Problem("spec.expires", said)])
    return end


def _spec_of(document: Manifest) -> CallerSpec:
    """Return the spec of a stored document; raises `Invalid` where it was written past the manager and is wrong."""
    spec = parse(shown(document)).spec
    assert isinstance(spec, CallerSpec)
    return spec


def _written(when: datetime) -> str:
    return moment_text(when, "seconds")
