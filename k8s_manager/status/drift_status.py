"""What documents are told of fields that others have set: left to them, or set back."""

from collections.abc import Mapping

from istio_templates.documents.tenant import Drift
from istio_templates.facts import Manifest, ObjectKey
from k8s_manager.pipeline.apply import Results
from k8s_manager.pipeline.changes import Changes
from k8s_manager.pipeline.plan import Plan
from k8s_manager.runtime.formatting import cut
from k8s_manager.world.condition import Condition
from k8s_manager.world.owner import Owner, owner_of

MOST = 20


class DriftNotes:
    """Keeps what was set back beyond its pass: a status that was put off tells it later."""

    def __init__(self) -> None:
        self._notes: dict[Owner, str] = {}

    def told(
        self, results: Results, changes: Changes, plan: Plan, owned: Mapping[ObjectKey, Manifest]
    ) -> dict[Owner, Condition]:
        """Return what there is to tell, by whose objects it is about."""
        self._notes |= _set_back(results)
        repaired = {owner: Condition("Drift", True, "Repaired", said) for owner, said in self._notes.items()}
        return repaired | _left(changes, plan, owned)


def _set_back(results: Results) -> dict[Owner, str]:
    out: dict[Owner, list[str]] = {}
    for key, repair in results.repaired.items():
        if repair.set_back:
            out.setdefault(repair.owner, []).append(repair.sentence(key))
    return {owner: "; ".join(said) for owner, said in out.items()}


def _left(changes: Changes, plan: Plan, owned: Mapping[ObjectKey, Manifest]) -> dict[Owner, Condition]:
    said: dict[Owner, list[str]] = {}
    for key, found in sorted(changes.kept_edits.items()):
        owner = owner_of(owned[key]["metadata"]["labels"]) if key in owned else ("", "", "")
        if owner[1] in plan.drift_policies:
            said.setdefault(owner, []).extend(f"{path} of {key} is {one.by}'s" for path, one in sorted(found.items()))
    return {
        owner: _by_policy(plan.drift_policies[owner[1]], "; ".join(cut(lines, MOST)))
        for owner, lines in said.items()
        if lines
    }


def _by_policy(policy: Drift, said: str) -> Condition:
    if policy == "adopt":
        return Condition("Drift", False, "Adopted", f"{said}, as the tenant's drift policy wants it")
    return Condition("Drift", True, "Reported", f"{said}; set it back, or write it into the document")
