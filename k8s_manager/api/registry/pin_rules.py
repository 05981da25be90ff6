"""Who may say of a pin that who has made or approved it, where a tenant's pins need approvals. Pure."""

from collections.abc import Iterator
from contextlib import suppress

from istio_templates.documents import ModelVersionSpec, parse
from istio_templates.documents.versions.model_version import PinnedVersion
from istio_templates.errors import Invalid, Problem
from istio_templates.facts import Manifest
from k8s_manager.api.services.document_bodies import shown


def pin_problems(after: ModelVersionSpec, live: Manifest | None, by: str) -> Iterator[Problem]:
    """Yield what is wrong with the pin in a document that `by` writes over `live`: it is by who writes it, and others
    approve it themselves."""
    pin, before = after.pinned, _pin_in(live)
    if pin is None or pin == before:
        return
    if pin.by != by:
        yield Problem("spec.pinned.by", f"is {pin.by}, and {by} writes it; pin a version in your own name")
    is_same = before is not None and (pin.by, pin.at, pin.until) == (before.by, before.at, before.until)
    given = set(before.approvals) if before and is_same else set()
    if added := sorted(set(pin.approvals) - given):
        said = f"{', '.join(added)} can approve it only by `tidegate versions approve`; take approvals out"
        yield Problem("spec.pinned.approvals", said)


def approval_problem(pin: PinnedVersion | None, by: str, of: str | None) -> str | None:
    """Return why a person cannot approve a pin (of a certain author); None where that is possible."""
    if pin is None:
        return "is not pinned; pin it first, and let another person approve that"
    if pin.by == by:
        return f"is pinned by {by}, who cannot approve that; let another person"
    if of is not None and pin.by != of:
        return f"is pinned by {pin.by}, and not by {of}; look at it again"
    return None


def _pin_in(live: Manifest | None) -> PinnedVersion | None:
    with suppress(Invalid):
        spec = parse(shown(live)).spec if live else None
        return spec.pinned if isinstance(spec, ModelVersionSpec) else None
    return None
