"""Records of changes that take several writes: annotations of the document that the change is about. Pure.

A transfer of a host is two writes, one for each tenant, and between them no tenant claims the host. A deletion with all
that depends on a document is one for each. The manager records such a change before its first write, so that the next
leader finishes it where this one dies.
"""

from dataclasses import dataclass
from typing import Any

import orjson

from istio_templates.facts import Manifest

TRANSFER = "tidegate.dev/host-transfer"
CASCADE = "tidegate.dev/cascade-deletion"


@dataclass(frozen=True, slots=True)
class TransferRecord:
    """A host on its way from the tenant `source`, which had it with all of `claim`; who asked for it, and why."""

    host: str
    source: str
    claim: Manifest
    by: str
    reason: str = ""
    ticket: str = ""

    @property
    def received(self) -> Manifest:
        """The claim of the receiver: what the source has delegated is its own affair."""
        return {name: value for name, value in self.claim.items() if name != "delegations"}

    def text(self) -> str:
        """Return the record as the annotation holds it."""
        return orjson.dumps(self).decode()


@dataclass(frozen=True, slots=True)
class CascadeRecord:
    """The deletion of a document and of all that depended on it, of which the youngest was made at `newest` (RFC 3339);
    who asked for it, and why."""

    newest: str
    by: str
    reason: str = ""
    ticket: str = ""

    def text(self) -> str:
        """Return the record as the annotation holds it."""
        return orjson.dumps(self).decode()


def transfer_of(tenant: Manifest) -> TransferRecord | None:
    """Return the transfer that a tenant is to receive; None where there is none, or nothing that can be read."""
    try:
        record = TransferRecord(**_fields(tenant, TRANSFER))
    except TypeError:
        return None
    texts = (record.host, record.source, record.by, record.reason, record.ticket)
    is_right = all(isinstance(value, str) for value in texts) and isinstance(record.claim, dict)
    return record if is_right and record.claim.get("name") else None


def cascade_of(document: Manifest) -> CascadeRecord | None:
    """Return the deletion that a document goes with; None where there is none, or nothing that can be read."""
    try:
        record = CascadeRecord(**_fields(document, CASCADE))
    except TypeError:
        return None
    is_right = all(isinstance(value, str) for value in (record.newest, record.by, record.reason, record.ticket))
    return record if is_right else None


def _fields(document: Manifest, name: str) -> Manifest:
    """Return the fields of a record; none where nothing can be read."""
    try:
        found: Any = orjson.loads((document["metadata"].get("annotations") or {}).get(name) or "null")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
