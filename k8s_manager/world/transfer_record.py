"""Record of a host's transfer: an annotation of the tenant that receives it. Pure.

A transfer is two writes, one for each tenant, and between them no tenant claims the host. The manager records the
transfer before the first write, so that the next leader can finish it, and no other tenant gets the host meanwhile.
"""

from dataclasses import dataclass
from typing import Any

import orjson

from istio_templates.facts import Manifest

TRANSFER = "tidegate.dev/host-transfer"


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


def transfer_of(tenant: Manifest) -> TransferRecord | None:
    """Return the transfer that a tenant is to receive; None where there is none, or nothing that can be read."""
    text = (tenant["metadata"].get("annotations") or {}).get(TRANSFER)
    if text is None:
        return None
    try:
        found: Any = orjson.loads(text)
        record = TransferRecord(**found)
    except (TypeError, ValueError):
        return None
    texts = (record.host, record.source, record.by, record.reason, record.ticket)
    is_right = all(isinstance(value, str) for value in texts) and isinstance(record.claim, dict)
    return record if is_right and record.claim.get("name") else None
