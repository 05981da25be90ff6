"""Hosts that change hands: what is written, in which order, and how nobody else comes between."""

import asyncio

from istio_templates import names
from istio_templates.documents.fields import host_or_wildcard
from istio_templates.errors import Conflict, NotFound, Problem
from istio_templates.facts import Manifest, ObjectKey
from k8s_manager.api.preconditions import etag
from k8s_manager.api.services.document_bodies import routes_in
from k8s_manager.api.services.document_catalog import DocumentCatalog
from k8s_manager.api.services.document_writer import DocumentWriter
from k8s_manager.api.services.write_request import WriteRequest
from k8s_manager.history.revision import ChangeAuthor

FREED_SECONDS = 15.0
"""How long a gateway may take to let a host go before it is given back."""


class HostTransfers:
    """Writes Tenants, each by the same way and checks as a caller would."""

    def __init__(self, catalog: DocumentCatalog, writer: DocumentWriter) -> None:
        self._catalog, self._writer = catalog, writer

    async def give(self, host: str, to: str, source: str | None, change: ChangeAuthor) -> Manifest:
        """Give a host to a tenant, and return its document; raises `Conflict` where another has the host and `source`
        does not say so."""
        key = ObjectKey("Tenant", "", to)
        receiver = self._catalog.one(key)
        owner = self._owner(host)
        if owner is None:
            return await self._write(receiver, [*_hosts(receiver), {"name": host}], change)
        name = owner["metadata"]["name"]
        if name == to:
            return receiver
        if source != name:
            said = f'is claimed by tenant {name}; send "from": "{name}" to take it from there'
            raise Conflict(f"the claim to {host}", [Problem("from", said)])
        claim = next(claim for claim in _hosts(owner) if _name(claim) == host)
        taken = {part: value for part, value in claim.items() if part != "delegations"}
        self._require_unused(host, owner)
        wanted = _with_hosts(receiver, [*_hosts(receiver), taken])
        with self._writer.promised(key, wanted):
            before = await self._write(owner, [c for c in _hosts(owner) if _name(c) != host], change)
            try:
                return await self._received(receiver, wanted, change)
            except BaseException:
                await self._write(before, _hosts(owner), change)
                raise

    async def release(self, host: str, change: ChangeAuthor) -> Manifest:
        """Take a host from its tenant, and return its document; raises `Conflict` while models are served on it."""
        owner = self._owner(host)
        if owner is None:
            raise NotFound(f"nobody claims {host}")
        self._require_unused(host, owner)
        return await self._write(owner, [claim for claim in _hosts(owner) if _name(claim) != host], change)

    async def _received(self, receiver: Manifest, wanted: Manifest, change: ChangeAuthor) -> Manifest:
        """Write the receiver's claim as soon as the gateway has let the host go."""
        key, deadline = names.key_of(receiver), asyncio.get_running_loop().time() + FREED_SECONDS
        while True:
            try:
                document, _ = await self._writer.put(key, wanted, WriteRequest(match=etag(receiver), change=change))
                return document
            except Conflict:
                if asyncio.get_running_loop().time() > deadline:
                    raise
            await asyncio.sleep(0.1)

    async def _write(self, tenant: Manifest, hosts: list[Manifest], change: ChangeAuthor) -> Manifest:
        key = names.key_of(tenant)
        write = WriteRequest(match=etag(tenant), change=change)
        document, _ = await self._writer.put(key, _with_hosts(tenant, hosts), write)
        return document

    def _owner(self, host: str) -> Manifest | None:
        tenants = self._catalog.many("Tenant")
        return next((obj for obj in tenants if any(_name(claim) == host for claim in _hosts(obj))), None)

    def _require_unused(self, host: str, owner: Manifest) -> None:
        others = [_name(claim) for claim in _hosts(owner) if _name(claim) != host]
        users = sorted(
            f"{model['metadata']['namespace']}/{model['metadata']['name']}"
            for model, route in routes_in(self._catalog.many("Model"))
            if _is_served(route.get("host", ""), host, others)
        )
        if users:
            said = f"is served by {', '.join(dict.fromkeys(users))}; move or delete these routes first"
            raise Conflict(f"the claim to {host}", [Problem("", said)])


def _is_served(route: str, claim: str, others: list[str]) -> bool:
    """Tell whether a route needs a claim, and no other one of the same tenant would do."""
    return names.covers(claim, route) and not any(names.covers(other, route) for other in others)


def _hosts(tenant: Manifest) -> list[Manifest]:
    return list((tenant.get("spec") or {}).get("hosts") or ())


def _name(claim: Manifest) -> str:
    """Return the host of a claim as it is compared; one that is wrong is equal to none."""
    try:
        return host_or_wildcard(claim["name"])
    except (ValueError, KeyError, TypeError):
        return ""


def _with_hosts(tenant: Manifest, hosts: list[Manifest]) -> Manifest:
    return {"spec": {**tenant["spec"], "hosts": hosts}}
