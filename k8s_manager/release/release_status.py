"""The release of a model as its status has it: the condition Released, and sentences. Pure.

Released  requests go where the document says  Complete | NotBegun | UnknownVerb | Warming | Quota | Window
                                               | Measuring | TooFewRequests | StatisticsMissing | Inconclusive
                                               | CheckFailed | TooLong | NotApproved | ByHand | DocumentChanged
                                               | VersionBlocked | Draining
"""

from collections.abc import Iterator
from typing import Any

from istio_templates.documents import ModelSpec
from istio_templates.facts import Manifest
from k8s_manager.release.decision.state import ReleasePhase, ReleaseReason, ReleaseState
from k8s_manager.release.status_record import state_of
from k8s_manager.traffic.weights import declared
from k8s_manager.world.condition import Condition


def release_condition(found: Any, flaw: str | None = None) -> Condition:
    """Return the condition of a model with a rollout, from `status.rollout`; `flaw` is what is wrong in what an
    operator asks for."""
    if not isinstance(found, dict):
        return Condition("Released", False, "NotBegun", "the release has not been looked at yet; wait")
    state = state_of(found)
    if state is None:
        return Condition("Released", False, "NotBegun", "status.rollout cannot be read; it is found again, wait")
    if flaw is not None:
        return Condition("Released", False, "UnknownVerb", flaw)
    is_complete = state.phase is ReleasePhase.DONE and state.reason is not ReleaseReason.VERSION_BLOCKED
    return Condition("Released", is_complete, str(state.reason), _sentence(state))


def _sentence(state: ReleaseState) -> str:
    """Return what a release says of itself, as messages of conditions stand: without a full stop."""
    said = state.message or f"version {state.stable} answers all requests"
    return said[:1].lower() + said[1:].rstrip(".")


def release_view(subject: str, found: Manifest | None) -> Manifest:
    """Return the release of a model, in sentences too."""
    return {"model": subject, "release": found, "explanation": release_sentences(subject, found)}


def release_sentences(subject: str, found: Manifest | None) -> list[str]:
    """Return what an explanation says of a release."""
    if found is None:
        return [f"{subject} has no release: with spec.rollout its requests come to another version step by step."]
    return list(_sentences(subject, found))


def _sentences(subject: str, found: Manifest) -> Iterator[str]:
    weights = ", ".join(f"{one['version']} {one['weight']} %" for one in _dicts(found, "weights"))
    yield f"{subject}: {_stopped(found.get('message'))} Requests go to {weights}."
    if mirror := found.get("mirror"):
        yield f"{mirror} % of them are mirrored to {found.get('version')}, whose answers are thrown away."
    for check in _dicts(found, "checks"):
        yield f"Check {check.get('name')}: {_stopped(check.get('message'))}"
    for blocked in _dicts(found, "blocked"):
        version, since, why = blocked.get("version"), blocked.get("at"), _stopped(blocked.get("reason"))
        yield f"Version {version} is blocked since {since}: {why} Ask for retry to release it again."


def lost_rollout(spec: ModelSpec, status: Manifest) -> str | None:
    """Return what a document without a rollout does to a release that is under way, or has failed, by the `status` of
    its model, and what to do instead; None where nothing is lost."""
    state = None if spec.rollout or spec.attach_to else state_of(status.get("rollout"))
    wanted = {version: weight for version, weight in declared(spec).items() if weight}
    if state is None or wanted.keys() <= {state.stable}:
        return None
    block = next((found for version in wanted if (found := state.block(version))), None)
    if not state.is_under_way and block is None:
        return None
    weights = ", ".join(f"{version} {weight} %" for version, weight in wanted.items())
    said = f"a release to {state.version} is under way at {state.share}"
    remedy = "promote or abort it first"
    if not state.is_under_way and block is not None:
        said, remedy = f"version {block.version} is blocked: {_stopped(block.reason)[:-1]}", "retry it first"
    return (
        f"{said}; without a rollout requests go to {weights} at once, without steps and checks; {remedy}, "
        f"or let traffic point at {state.stable}"
    )


def _stopped(said: Any) -> str:
    """Return a sentence with one full stop."""
    return f"{str(said or 'nothing is released').rstrip('.')}."


def _dicts(found: Manifest, name: str) -> list[dict[str, Any]]:
    value = found.get(name)
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []
