"""Transfer of hosts: what is written, in which order, and how no other tenant gets the host in between."""

import asyncio
from dataclasses import asdict

from istio_templates import names
from istio_templates.documents.fields import host_or_wildcard
from istio_templates.errors import Conflict, NotFound, Problem, TidegateError, Transient
from istio_templates.facts import Manifest, ObjectKey
from k8s_manager.api.concurrency.preconditions import etag
from k8s_manager.api.services.document_bodies import routes_in
from k8s_manager.api.services.document_catalog import DocumentCatalog
from k8s_manager.api.services.document_writer import DocumentWriter
from k8s_manager.api.services.write_request import WriteRequest
from k8s_manager.history.revision import ChangeAuthor
from k8s_manager.kube.store import Store
from k8s_manager.runtime.change_recovery import ChangeRecovery
from k8s_manager.runtime.clock import Clock
from k8s_manager.world.change_records import TRANSFER, TransferRecord, transfer_of

FREED_SECONDS = 15.0
"""How long a gateway may take to let a host go before it is given back."""


class HostTransfers:
    """Writes Tenants, each by the same way and checks as a caller would.

    A transfer is recorded before its first write. The leader finishes one that was not carried on for `patience`
    seconds.
    """

    def __init__(
        self, store: Store, catalog: DocumentCatalog, writer: DocumentWriter, clock: Clock, patience: float
    ) -> None:
        self._store, self._catalog, self._writer = store, catalog, writer
        self._recovery = ChangeRecovery("transfers", self._records, self._finish, clock, patience)

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
        if under_way := transfer_of(receiver):
            said = f"is about to receive {under_way.host} from tenant {under_way.source}; wait until it has it"
            raise Conflict(str(key), [Problem("", said)])
        claim = next(claim for claim in _hosts(owner) if _name(claim) == host)
        self._require_unused(host, owner)
        return await self._transfer(receiver, TransferRecord(host, name, claim, **asdict(change)))

    async def run(self, leads: bool) -> None:
        """Finish the transfers of managers that have died, until cancelled; only a leader does."""
        if leads:
            await self._store.synced.wait()
            await self._recovery.run()

    async def _transfer(self, receiver: Manifest, record: TransferRecord) -> Manifest:
        """Record a transfer, and carry it out."""
        key = names.key_of(receiver)
        wanted = _with_hosts(receiver, [*_hosts(receiver), record.received])
        with self._writer.promised(key, wanted), self._recovery.under_way(key):
            return await self._carry_out(await self._writer.annotate(receiver, TRANSFER, record.text()), record)

    async def _carry_out(self, receiver: Manifest, record: TransferRecord) -> Manifest:
        """Do what is left of a transfer; one that cannot be done is taken back. What fails for now stays recorded."""
        change = ChangeAuthor(record.by, record.reason, record.ticket)
        try:
            await self._take(names.key_of(receiver), record, change)
            if self._owner(record.host) is None:
                wanted = _with_hosts(receiver, [*_hosts(receiver), record.received])
                receiver = await self._received(receiver, wanted, change)
        except Transient:
            raise
        except TidegateError:
            await self._give_back(record, change)
            await self._forget(names.key_of(receiver))
            raise
        return await self._forget(names.key_of(receiver)) or receiver

    async def _take(self, receiver: ObjectKey, record: TransferRecord, change: ChangeAuthor) -> None:
        """Take the host from its source, if that still has it; raises `Conflict` where another tenant got it."""
        owner = self._owner(record.host)
        if owner is None or names.key_of(owner) == receiver:
            return
        if owner["metadata"]["name"] != record.source:
            said = f"tenant {owner['metadata']['name']} has it meanwhile; ask that tenant for it"
            raise Conflict(f"the claim to {record.host}", [Problem("", said)])
        self._require_unused(record.host, owner)
        await self._write(owner, [claim for claim in _hosts(owner) if _name(claim) != record.host], change)

    async def _give_back(self, record: TransferRecord, change: ChangeAuthor) -> None:
        source = next((obj for obj in self._catalog.many("Tenant") if obj["metadata"]["name"] == record.source), None)
        if source is not None and self._owner(record.host) is None:
            await self._write(source, [*_hosts(source), record.claim], change)

    async def _forget(self, receiver: ObjectKey) -> Manifest | None:
        """Remove the record from a tenant, and return the tenant; None where that is gone."""
        found = next((obj for obj in self._catalog.many("Tenant") if names.key_of(obj) == receiver), None)
        return await self._writer.annotate(found, TRANSFER, None) if found else None

    def _records(self) -> dict[ObjectKey, TransferRecord]:
        """Return the transfers that are recorded, by who receives; none while documents are not known."""
        tenants = [] if self._catalog.unready() else self._catalog.many("Tenant")
        return {names.key_of(obj): record for obj in tenants if (record := transfer_of(obj))}

    async def _finish(self, receiver: ObjectKey, record: TransferRecord) -> None:
        await self._carry_out(self._catalog.live(receiver), record)

    async def release(self, host: str, change: ChangeAuthor) -> Manifest:
        """Take a host from its tenant, and return its document; raises `Conflict` while models are served on it."""
        owner = self._owner(host)
        if owner is None:
            raise NotFound(f"no tenant claims {host}")
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
