"""What a document's conditions come to, in a word and in sentences, for people. Pure."""

from istio_templates.documents.override import moment
from istio_templates.facts import Manifest

_ABNORMAL = ("Degraded", "Drift")
"""Conditions that are True where something is wrong."""
_NEUTRAL = ("Served",)
"""Conditions that say how something is, and neither state of which is wrong."""


def state(obj: Manifest) -> str:
    """Return the worst condition of a document in a word."""
    if "deletionTimestamp" in obj["metadata"]:
        return "Deleting"
    conditions = {c["type"]: c for c in obj.get("status", {}).get("conditions", [])}
    for kind in ("Accepted", "Programmed", "Ready"):
        if kind in conditions and conditions[kind]["status"] != "True":
            return str(conditions[kind]["reason"])
    if "Served" in conditions:
        return str(conditions["Served"]["reason"])
    if obj.get("kind") == "Caller" and "Active" in conditions:
        return str(conditions["Active"]["reason"])
    return "Ready" if conditions else "Unknown"


def is_well(condition: Manifest) -> bool:
    """Tell whether a condition says that all is well."""
    return condition["type"] in _NEUTRAL or bool(
        (condition["status"] == "True") is (condition["type"] not in _ABNORMAL)
    )


def trouble(obj: Manifest, expected: str = "") -> list[str]:
    """Return the sentences of the conditions by which not all is well, and not for an `expected` reason; of an override
    that holds, also how far."""
    conditions = obj.get("status", {}).get("conditions", [])
    failing = [c for c in conditions if not is_well(c) and c["type"] != "Limited" and c["reason"] != expected]
    partly = [c for c in conditions if c["type"] == "Active" and c["status"] == "True" and "; " in c["message"]]
    return [f"{c['type']}: {c['message']}" for c in [*failing, *partly]]


def last_evaluations(spec: Manifest) -> list[Manifest]:
    """Return the last evaluation of a registered version by each metric on each data set."""
    found: dict[tuple[str, str], Manifest] = {}
    for one in sorted(spec.get("evaluations") or (), key=lambda one: moment(one["at"])):
        found[one["metric"], one["dataset"]] = one
    return list(found.values())
