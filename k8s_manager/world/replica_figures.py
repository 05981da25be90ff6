"""Requests/s that running replicas were declared for, where their document now says something else. Pure."""

from dataclasses import dataclass
from fractions import Fraction


@dataclass(frozen=True, slots=True)
class RunningFigures:
    """Of one version: `each` is the figure of all its replicas where its document does not have the version any more;
    `older` are how many of its ready replicas run an earlier pod template, and their figure."""

    each: Fraction | None = None
    older: tuple[tuple[int, Fraction], ...] = ()


NO_FIGURES = RunningFigures()
