"""Answers about the installation as a whole: the caller, events, and where manifests go."""

from typing import Any, Literal

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


class ManifestDelivery(ApiAnswer):
    """How far manifests have come: all but `target` only where that is `git`, and the leader has written it."""

    target: Literal["cluster", "git"]
    repository: GitRepository = optional()
    committed: GitCommit = optional()
    commits: list[list[str]] = optional(description="Of the last commits, the tree and the commit.")
    applied: AppliedTree | None = None
    problem: str | None = None
    out_of_step: TreeGap = optional()
