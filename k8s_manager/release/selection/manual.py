"""Strategy `manual`: the version that a person has pinned, or to which an alias was moved. A pin overrides every other
strategy until it ends."""

from datetime import datetime

from k8s_manager.release.selection.candidates import SelectionView
from k8s_manager.release.selection.selection_decision import (
    Choice,
    NoChangeReason,
    NoChoice,
    SelectionEvidence,
    VersionRejection,
)
from k8s_manager.release.selection.selection_rules import SelectionRules
from k8s_manager.release.selection.version_facts import ModelVersionFact, VersionPin, rank_of_name


def pinned_version(rules: SelectionRules, view: SelectionView) -> ModelVersionFact | None:
    """Return the version whose pin is in force and approved; of several the one that was pinned last."""
    found = [
        v for v in view.versions if (pin := v.pinned) and _holds(rules, pin, view.now) and not _lacking(rules, pin)
    ]
    return max(found, key=lambda v: (v.pinned.at if v.pinned else view.now, rank_of_name(v.name)), default=None)


def choose_pinned(version: ModelVersionFact, view: SelectionView) -> Choice | NoChoice:
    """Return a version that is pinned, unless it serves or is blocked."""
    pin = version.pinned
    by = f" by {pin.by} since {pin.at:%Y-%m-%d %H:%M}" if pin else ""
    ends = f", until {pin.ends:%Y-%m-%d %H:%M}" if pin and pin.ends else ""
    if version.name == view.served.name:
        sentence = f"{version.name} serves and is pinned{by}{ends}; unpin it to let the strategy choose."
        return NoChoice(NoChangeReason.PINNED, sentence)
    if version.blocked is not None:
        sentence = f"{version.name} is pinned{by}, and blocked ({version.blocked}); retry it, or pin another version."
        return NoChoice(NoChangeReason.PINNED_BLOCKED, sentence, needs_owner=True)
    approved = f", approved by {', '.join(sorted(set(pin.approvals)))}" if pin and pin.approvals else ""
    return Choice(version, (SelectionEvidence(f"{version.name} is pinned{by}{ends}{approved}."),))


def without_pin(rules: SelectionRules, view: SelectionView) -> NoChoice:
    """Return that nothing is pinned, or that a pin waits for approval."""
    for version in view.versions:
        if (pin := version.pinned) and _holds(rules, pin, view.now) and (lacking := _lacking(rules, pin)):
            sentence = f"{version.name} is pinned by {pin.by} and needs the approval of {lacking} more; approve it."
            return NoChoice(NoChangeReason.NOT_APPROVED, sentence)
    return NoChoice(NoChangeReason.NO_PIN, "No version is pinned; pin one to have it released.")


def pending_pins(rules: SelectionRules, view: SelectionView) -> tuple[VersionRejection, ...]:
    """Return the versions whose pins wait for approval, and for how many."""
    return tuple(
        VersionRejection(version.name, f"is pinned by {pin.by}, which waits for the approval of {lacking} more")
        for version in view.versions
        if (pin := version.pinned) and _holds(rules, pin, view.now) and (lacking := _lacking(rules, pin))
    )


def choose_aliased(alias: str, view: SelectionView) -> Choice | NoChoice:
    """Return the version that has an alias, unless it serves or is blocked; none where two have it."""
    found = [version for version in view.versions if alias in version.aliases]
    if len(found) != 1:
        names = " and ".join(version.name for version in found)
        sentence = (
            f"Versions {names} have the alias {alias}; leave it with one."
            if found
            else f"No registered version has the alias {alias}; give it to one, or pin a version."
        )
        return NoChoice(NoChangeReason.NO_ALIAS, sentence, needs_owner=True)
    (version,) = found
    if version.name == view.served.name:
        return NoChoice(NoChangeReason.ALIAS_SERVES, f"{version.name} serves and has the alias {alias}.")
    if version.blocked is not None:
        sentence = (
            f"{version.name} has the alias {alias}, and is blocked ({version.blocked}); unblock or retry it, or move "
            "the alias."
        )
        return NoChoice(NoChangeReason.ALIAS_BLOCKED, sentence, needs_owner=True)
    return Choice(version, (SelectionEvidence(f"{version.name} has the alias {alias}."),))


def _holds(rules: SelectionRules, pin: VersionPin, now: datetime) -> bool:
    return pin.holds(now) and (rules.pin_ttl is None or now < pin.at + rules.pin_ttl)


def _lacking(rules: SelectionRules, pin: VersionPin) -> int:
    """Return how many approvals of others are missing."""
    return max(0, rules.approvers - len(set(pin.approvals) - {pin.by}))
