"""What came of one plan."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Verdict:
    """The problems of a plan, and figures of which the largest over all plans is reported."""

    problems: tuple[str, ...] = ()
    figures: dict[str, float] = field(default_factory=dict)
