"""Condition Drift: edits of other writers that were set back, and those that were kept. Pure, but for its notes."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from istio_templates.documents.tenant import Drift
from istio_templates.facts import Manifest, ObjectKey
from k8s_manager.drift.repair import CONTESTED
from k8s_manager.pipeline.apply import Results
from k8s_manager.pipeline.changes import Changes
from k8s_manager.pipeline.plan import Plan
from k8s_manager.runtime.sentences import cut
from k8s_manager.world.condition import Condition
from k8s_manager.world.owner import Owner, owner_of

MOST = 20
REPAIRED = "Repaired"
_SET_BACK = (REPAIRED, CONTESTED)
LASTS = timedelta(minutes=10)
"""How long after the last repair a document says that there was one."""


class DriftNotes:
    """Remembers repairs beyond their pass, for `LASTS`: then it is over, if nothing else was set back."""

    def __init__(self) -> None:
        self._notes: dict[Owner, tuple[datetime, Condition]] = {}

    def conditions(
        self, results: Results, changes: Changes, plan: Plan, owned: Mapping[ObjectKey, Manifest], now: datetime
    ) -> dict[Owner, Condition]:
        """Return the condition Drift by the owner of the objects that were changed."""
        self._notes |= {owner: (now, note) for owner, note in _repairs(results).items()}
        recent = {owner: note for owner, (at, note) in self._notes.items() if now - at < LASTS}
        return recent | _kept(changes, plan, owned)

    def lasting(self, owner: Owner, before: Manifest | None, now: datetime) -> Condition | None:
        """Return the condition Drift that a status has had before this manager began, as long as it lasts from then."""
        if before is None or before["reason"] not in _SET_BACK:
            self._notes.pop(owner, None)
            return None
        at, note = self._notes.setdefault(owner, (now, Condition("Drift", True, before["reason"], before["message"])))
        return note if now - at < LASTS else None

    def next_end(self, now: datetime) -> timedelta | None:
        """Return in how long the next condition is over; None without one."""
        return min((at + LASTS - now for at, _ in self._notes.values() if at + LASTS > now), default=None)


def _repairs(results: Results) -> dict[Owner, Condition]:
    out: dict[Owner, dict[str, str]] = {}
    for key, repair in results.repaired.items():
        if repair.set_back:
            out.setdefault(repair.owner, {})[repair.sentence(key)] = repair.reason(key)
    return {
        owner: Condition("Drift", True, CONTESTED if CONTESTED in said.values() else REPAIRED, "; ".join(said))
        for owner, said in out.items()
    }


def _kept(changes: Changes, plan: Plan, owned: Mapping[ObjectKey, Manifest]) -> dict[Owner, Condition]:
    edits: dict[Owner, list[str]] = {}
    for key, found in sorted(changes.kept_edits.items()):
        owner = owner_of(owned[key]["metadata"]["labels"]) if key in owned else ("", "", "")
        if owner[1] in plan.drift_policies:
            edits.setdefault(owner, []).extend(
                f"{path} of {key} was set by {edit.by}" for path, edit in sorted(found.items())
            )
    return {
        owner: _by_policy(plan.drift_policies[owner[1]], "; ".join(cut(lines, MOST)))
        for owner, lines in edits.items()
        if lines
    }


def _by_policy(policy: Drift, edits: str) -> Condition:
    if policy == "adopt":
        return Condition("Drift", False, "Adopted", f"{edits}; kept, because spec.drift of the tenant is adopt")
    return Condition("Drift", True, "Reported", f"{edits}; set it back, or write it into the document")
