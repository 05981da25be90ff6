"""The release of a model as its status has it: the condition Released, and sentences. Pure.

Released  requests go where the document says  Complete | NotBegun | Preparing | Running | AwaitingApproval | Paused
                                               | Held | Aborted | UnknownAction
"""

from collections.abc import Iterator
from typing import Any

from istio_templates.facts import Manifest
from k8s_manager.world.condition import Condition

COMPLETE = "Complete"


def release_condition(found: Manifest | None) -> Condition:
    """Return the condition of a model with a rollout, from `status.rollout`."""
    if found is None:
        return Condition("Released", False, "NotBegun", "the release has not been looked at yet; wait")
    reason = str(found.get("reason") or found.get("phase") or "NotBegun")
    return Condition("Released", found.get("phase") == COMPLETE, reason, str(found.get("message") or reason))


def release_sentences(subject: str, found: Manifest | None) -> list[str]:
    """Return what an explanation says of a release."""
    if found is None:
        return [f"{subject} has no release: with spec.rollout its requests come to another version step by step."]
    return list(_sentences(subject, found))


def _sentences(subject: str, found: Manifest) -> Iterator[str]:
    weights = ", ".join(f"{one['version']} {one['weight']} %" for one in _dicts(found, "weights"))
    yield f"{subject}: {found.get('message')}. Requests go to {weights}."
    for check in _dicts(found, "checks"):
        yield f"Check {check.get('name')}: {check.get('verdict')}; {check.get('message')}."
    for blocked in _dicts(found, "blocked"):
        yield (
            f"Version {blocked.get('version')} is blocked since {blocked.get('at')}: {blocked.get('reason')}; ask for "
            "retry to release it again."
        )


def _dicts(found: Manifest, name: str) -> list[dict[str, Any]]:
    value = found.get(name)
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []
