"""The selection of a model as its status has it: the choice with its evidence, the condition Selected, sentences. Pure.

Selected  the version that should serve does  any reason of a strategy | Chosen | Expired

A choice keeps the moments of when it was first made, so that a new leader, or another look, does not begin its
cool-down or its end again.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from istio_templates.documents import ModelSpec
from istio_templates.documents.override import moment
from istio_templates.documents.versions.chosen_version import ChosenVersion, holding, run_image
from istio_templates.documents.versions.selection import VersionSelection
from istio_templates.documents.versions.version_template import VersionTemplate
from istio_templates.facts import Manifest
from k8s_manager.release.live.model_figures import NO_FIGURES, ModelFigures
from k8s_manager.release.selection.candidates import SelectionView
from k8s_manager.release.selection.manual import pending_pins
from k8s_manager.release.selection.selection import evaluate
from k8s_manager.release.selection.selection_decision import NoSelection, SelectionDecision
from k8s_manager.release.selection.version_facts import ModelVersionFact
from k8s_manager.release.selection_document import selection_rules, served_version, with_failed_releases
from k8s_manager.release.status_record import state_of
from k8s_manager.world.condition import Condition

CHOSEN, EXPIRED, REFUSED = "Chosen", "Expired", "ImageNotAllowed"
MOST_REJECTED = 20
"""Rejected versions that a status names."""


def selection_of(
    spec: ModelSpec,
    selection: VersionSelection,
    status: Manifest,
    versions: Sequence[ModelVersionFact],
    now: datetime,
    figures: ModelFigures = NO_FIGURES,
    approvers: int = 0,
) -> Manifest:
    """Return which version should serve a model at `now` and why, as `status.selection` has it; `status` is the model's
    so far, `figures` what is live; pins need the approval of so many `approvers`."""
    rollout = status.get("rollout")
    state = state_of(rollout) if isinstance(rollout, dict) else None
    known = with_failed_releases(versions, state)
    rules, served = selection_rules(selection, approvers), served_version(spec, rollout, known, figures)
    found = evaluate(rules, known, served, now)
    pending = pending_pins(rules, SelectionView(tuple(known), served, now))
    rejected = [{"version": one.name, "why": one.why} for one in (*pending, *found.rejected)[:MOST_REJECTED]]
    if isinstance(found, NoSelection):
        body = {"reason": str(found.reason), "message": found.sentence, "needsOwner": found.needs_owner}
        return {"strategy": found.strategy, **body, "evidence": [], "rejected": rejected}
    chosen = _chosen(found, _before(status), now, selection.version_template)
    return {**_refused(chosen, selection.version_template, known), "rejected": rejected}


def selected_version(
    written: ModelSpec, selection: Manifest, status: Manifest, versions: Sequence[ModelVersionFact], now: datetime
) -> Manifest | None:
    """Return the version that a release brings requests to, as `status.selected` has it: the one of a choice that is
    due, else the one before while that holds; None where the document holds as it is `written`. `selection` is
    `status.selection` as it is now, `status` the model's so far."""
    before = holding(written, status)
    template = written.selection.version_template if written.selection else None
    due = _moment(selection, "notBefore")
    if template is None or selection["reason"] != CHOSEN or due is None or now < due:
        return before.record if before else None
    fact = next((version for version in versions if version.name == selection["to"]), None)
    if fact is None:
        return before.record if before else None
    return _as_chosen(fact, written.target).record


def _as_chosen(fact: ModelVersionFact, instead: str) -> ChosenVersion:
    return ChosenVersion(fact.name, fact.image, fact.uri, fact.digest, instead)


def _refused(chosen: Manifest, template: VersionTemplate | None, versions: Sequence[ModelVersionFact]) -> Manifest:
    """Return a choice, or that its image may not be run."""
    fact = next((version for version in versions if version.name == chosen["to"]), None)
    if template is None or fact is None:
        return chosen
    image = run_image(template, _as_chosen(fact, ""))
    if template.allows(image):
        return chosen
    said = f"{fact.name} should serve, but its image {image or '(none)'} is none of versionTemplate.images"
    message = f"{said}; register it with one of these, block it, or let the template take it."
    return {**chosen, "reason": REFUSED, "message": message}


def selection_condition(found: Manifest) -> Condition:
    """Return the condition of a model with a selection."""
    said = str(found["message"])
    message = said[:1].lower() + said[1:].rstrip(".")
    if "to" in found:
        return Condition("Selected", False, str(found["reason"]), message)
    return Condition("Selected", not found["needsOwner"], str(found["reason"]), message)


def selection_sentences(subject: str, found: Manifest) -> list[str]:
    """Return what an explanation says of a selection."""
    rejected = [f"Version {one['version']} {one['why']}." for one in found["rejected"]]
    return [f"{subject}, {found['strategy']}: {found['message']}", *found["evidence"], *rejected]


def _before(status: Manifest) -> Manifest:
    found = status.get("selection")
    return found if isinstance(found, dict) else {}


def _chosen(found: SelectionDecision, before: Manifest, now: datetime, template: VersionTemplate | None) -> Manifest:
    made = {"strategy": found.strategy, "to": found.to, **({"from": found.from_} if found.from_ else {})}
    since, ends = found.not_before, found.expires
    if all(before.get(name) == made.get(name) for name in ("strategy", "to", "from")):
        since, ends = _moment(before, "notBefore") or since, _moment(before, "expires") or ends
    reason = EXPIRED if now >= ends else CHOSEN
    instead = f" instead of {found.from_}" if found.from_ else ""
    to_do = "move the traffic there, or pin a version"
    if template is not None and reason == CHOSEN:
        to_do = "a release brings requests there; block it, or pin another, to prevent that"
    said = f"{found.to} should serve{instead}, not before {since:%Y-%m-%d %H:%M}; {to_do}."
    if reason == EXPIRED:
        said = f"{found.to} should serve{instead}, and has waited until {ends:%Y-%m-%d %H:%M}; {to_do}."
    times = {"notBefore": since.isoformat(timespec="seconds"), "expires": ends.isoformat(timespec="seconds")}
    evidence = [one.sentence for one in found.evidence]
    return {**made, "reason": reason, "message": said, "needsOwner": True, **times, "evidence": evidence}


def _moment(before: Manifest, name: str) -> datetime | None:
    """Return a moment of a status; None where others wrote something else."""
    value: Any = before.get(name)
    try:
        return moment(value) if isinstance(value, str) else None
    except ValueError:
        return None
