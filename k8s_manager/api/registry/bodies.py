"""What calls of the registry send."""

from istio_templates.documents.fields import DnsLabel, Spec
from istio_templates.documents.override import Moment, Words
from istio_templates.documents.versions.model_version import Named, VersionContent


class VersionRegistration(VersionContent):
    """A version that training has made: which version of which model, what it is, and how good."""

    version: DnsLabel


class BlockBody(Spec):
    """Why a version may not be chosen."""

    reason: Words


class PinBody(Spec):
    """Until when a version is pinned (for good without it), and why."""

    until: Moment | None = None
    reason: Words | None = None


class ApprovalBody(Spec):
    """Whose pin is approved; without it that which there is."""

    of: Named | None = None
