"""Answers about the installation as a whole: the caller, events, where manifests go, and what the cluster lacks."""

from typing import Any, Literal

from pydantic import Field

from k8s_manager.api.schemas.answer import ApiAnswer, optional


class RoleGrant(ApiAnswer):
    """A role, where it holds (`all`, or tenants by name), and what it allows."""

    role: str
    tenants: list[str] | Literal["all"]
    rights: list[str]


class CallerReport(ApiAnswer):
    """The caller's identity, its authentication method (none for the manager's own token), and its grants."""

    user: str
    source: str
    groups: list[str]
    grants: list[RoleGrant]


class EventRecord(ApiAnswer):
    """One thing that happened to one object; also each `data` line of the stream."""

    id: int
    time: str
    type: str
    object: str
    message: str
    details: dict[str, Any]


class EventList(ApiAnswer):
    """The last events, the oldest first."""

    items: list[EventRecord]


class GitRepository(ApiAnswer):
    """The place that manifests are committed to."""

    url: str
    branch: str
    folder: str


class GitCommit(ApiAnswer):
    """The newest commit: of which tree, on which branch made from which base, with how many documents."""

    commit: str
    tree: str
    branch: str
    base: str | None
    at: str
    documents: int


class AppliedTree(ApiAnswer):
    """The tree that the cluster has; without a commit where the manager does not know it."""

    tree: str
    commit: str | None


class StrayObject(ApiAnswer):
    """An object that the cluster has otherwise than the tree."""

    object: str
    how: str


class TreeGap(ApiAnswer):
    """How many objects the cluster has otherwise than the tree, and the first of them."""

    count: int
    objects: list[StrayObject]


class MovingRoute(ApiAnswer):
    """A route whose weights are otherwise than in the tree, and both of them in words."""

    object: str
    how: str


class ManifestDelivery(ApiAnswer):
    """How far manifests have come: all but `target` only where that is `git`, and the leader has written it."""

    target: Literal["cluster", "git"]
    repository: GitRepository = optional()
    committed: GitCommit = optional()
    commits: list[list[str]] = optional(description="Of the last commits, the tree and the commit.")
    applied: AppliedTree | None = None
    problem: str | None = None
    out_of_step: TreeGap = optional()
    moving: list[MovingRoute] = optional(description="Routes whose weights a release moves, at first.")


class DoctorFinding(ApiAnswer):
    """The result of one check."""

    check: str = Field(description="The area that it belongs to.")
    level: Literal["ok", "warning", "failure", "unknown"] = Field(
        description="`unknown` was not looked at: the manager has no right to, or nothing to look at."
    )
    what: str
    remedy: str = Field(description="What to do; empty where the level is ok.")


class DoctorReport(ApiAnswer):
    """What a manager finds of its cluster with its own account, in the order in which to repair."""

    at: str = Field(description="When it looked.")
    fresh_until: str = Field(description="From then on a call makes it look again.")
    manager: str = Field(description="Which manager looked.")
    worst: Literal["ok", "warning", "failure", "unknown"]
    items: list[DoctorFinding]
    omitted: int = Field(description="How many more findings there are than are listed.")
