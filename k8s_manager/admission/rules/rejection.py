"""Rejection: why a document is not accepted, and the shape of a rule that finds it."""

from dataclasses import dataclass
from typing import Literal

from istio_templates.errors import Problem

Reason = Literal["Invalid", "Conflict", "NotFound"]


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why a document is not accepted: the author's mistake, another owner's claim, or a reference to what is absent."""

    reason: Reason
    problem: Problem


def invalid(field: str, message: str) -> Rejection:
    """Return the rejection of a value that its author has to change."""
    return Rejection("Invalid", Problem(field, message))


def conflict(field: str, message: str) -> Rejection:
    """Return the rejection of what another owner has claimed."""
    return Rejection("Conflict", Problem(field, message))


def not_found(field: str, message: str) -> Rejection:
    """Return the rejection of a reference to what does not exist."""
    return Rejection("NotFound", Problem(field, message))
