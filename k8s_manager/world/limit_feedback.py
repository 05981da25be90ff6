"""What the limit loop gives back to the plan: which models are closed, and which have no limit for now."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from istio_templates.facts import LimitKey


@dataclass(frozen=True, slots=True)
class LimitFeedback:
    """The identities of models that take no requests for now, each with the sentence of its 503, and of those whose
    limit is lifted."""

    closed: Mapping[LimitKey, str] = field(default_factory=dict)
    lifted: frozenset[LimitKey] = frozenset()
