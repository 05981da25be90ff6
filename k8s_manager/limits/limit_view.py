"""What people are shown of one limit on one gateway."""

from dataclasses import dataclass
from datetime import datetime

from istio_templates.facts import Bucket
from ratelimiter.controller import LimitTarget
from ratelimiter.modes import Evidence, Stage
from ratelimiter.overrides import Override


@dataclass(frozen=True, slots=True)
class LimitView:
    """One limit on one gateway: what is wanted and in which slot, what is in force since when, what waits until when.

    `override` is the one that holds, `lifted` whether there is no limit for now, `heard` when the pods were last heard
    of. In shadow or ramp: its `stage` and what was counted, or who holds the slots that it waits for. `own` are the
    limits that versions have of their own.
    """

    wanted: LimitTarget
    slot: int
    in_force: Bucket | None = None
    since: datetime | None = None
    pending: Bucket | None = None
    due_in: float | None = None
    override: Override | None = None
    lifted: bool = False
    heard: datetime | None = None
    stage: Stage | None = None
    evidence: Evidence | None = None
    holders: tuple[str, ...] | None = None
    own: tuple["LimitView", ...] = ()
