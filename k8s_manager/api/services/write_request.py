"""How a write is asked for: the same options everywhere."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from k8s_manager.api.guard import caller_of, change_by
from k8s_manager.api.parameters import DryRun, Match, Planned, Reason, Ticket
from k8s_manager.history.revision import ChangeAuthor


@dataclass(frozen=True, slots=True)
class WriteRequest:
    """Whether only to tell what would change; which version is changed (an ETag); who changes it and why; and with the
    fingerprint of what was `planned`, only that. `caller` is the unique name of who asks; `approves`: what
    it writes is the caller's own approval."""

    dry_run: bool = False
    match: str | None = None
    change: ChangeAuthor | None = None
    planned: str | None = None
    caller: str = ""
    approves: bool = False


async def _asked(  # one that is not async would be run in another thread, for every write
    request: Request,
    dry_run: DryRun = False,
    match: Match = None,
    reason: Reason = "",
    ticket: Ticket = "",
    planned: Planned = None,
) -> WriteRequest:
    name = caller_of(request).identity.name
    return WriteRequest(dry_run, match, change_by(request, reason, ticket), planned, name)


AsAsked = Annotated[WriteRequest, Depends(_asked)]
