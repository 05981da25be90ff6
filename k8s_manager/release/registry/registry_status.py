"""What the status of a model says of the registry that its versions come from. Pure.

RegistryRead  its versions are those of MLflow   Read | SomeLeftOut | NotReadYet | NotConfigured | Unavailable
                                                 | NotAllowed | NotFound | OddAnswer | NotWritten
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from istio_templates.documents.versions.registry_source import RegistrySource
from istio_templates.errors import TidegateError
from istio_templates.facts import Manifest
from k8s_manager.release.registry.registry_answer import LeftOut, OddRegistryAnswer, RegisteredModelAbsent
from k8s_manager.release.registry.version_content import listed_reasons
from k8s_manager.world.condition import Condition

MOST_SAID, MOST_LISTED = 3, 20
"""Reasons in the condition, and in `status.registry`."""


class RegistryReason(StrEnum):
    """How it is with the registry of a model."""

    READ = "Read"
    SOME_LEFT_OUT = "SomeLeftOut"
    NOT_READ_YET = "NotReadYet"
    NOT_CONFIGURED = "NotConfigured"
    NOT_ALLOWED = "NotAllowed"
    UNAVAILABLE = "Unavailable"
    NOT_FOUND = "NotFound"
    ODD_ANSWER = "OddAnswer"
    NOT_WRITTEN = "NotWritten"


@dataclass(frozen=True, slots=True)
class RegistryView:
    """What the last look at a registered model has come to: `why` is a clause where it failed, `last` the last answer
    before, which makes no difference; `read_up_to` the highest version that was looked at, `deleted` how many were
    deleted here."""

    name: str
    reason: RegistryReason = RegistryReason.NOT_READ_YET
    why: str = ""
    last: datetime | None = field(default=None, compare=False)
    left_out: tuple[LeftOut, ...] = ()
    read_up_to: int = 0
    deleted: int = 0

    @property
    def is_read(self) -> bool:
        """Whether the last look succeeded."""
        return self.reason in (RegistryReason.READ, RegistryReason.SOME_LEFT_OUT)


_OF_SETTINGS = (RegistryReason.NOT_CONFIGURED, RegistryReason.NOT_ALLOWED)
"""What is known without reading anything."""


def reason_of(error: TidegateError) -> RegistryReason:
    """Return as what a failure to read the registry is reported."""
    if isinstance(error, RegisteredModelAbsent):
        return RegistryReason.NOT_FOUND
    return RegistryReason.ODD_ANSWER if isinstance(error, OddRegistryAnswer) else RegistryReason.UNAVAILABLE


def registry_condition(source: RegistrySource, view: RegistryView, before: Manifest | None) -> Condition:
    """Return the condition RegistryRead; `before` is the one of the live status: it holds until a new leader has
    looked."""
    is_waiting = view.reason is RegistryReason.NOT_READ_YET
    if is_waiting and before is not None and before["reason"] not in _OF_SETTINGS:
        holds = {"True": True, "False": False}.get(before["status"])
        return Condition("RegistryRead", holds, before["reason"], before["message"])
    return Condition(
        "RegistryRead", None if is_waiting else view.is_read, str(view.reason), _sentence(source.name, view)
    )


def _sentence(name: str, view: RegistryView) -> str:
    stays = "what was read stays, and the selection goes on with it"
    last = f"; the last answer is of {view.last:%Y-%m-%d %H:%M}" if view.last else ""
    match view.reason:
        case RegistryReason.NOT_READ_YET:
            return f"registered model {name} in MLflow is read within a minute; wait"
        case RegistryReason.READ | RegistryReason.SOME_LEFT_OUT:
            said = f"the versions of registered model {name} in MLflow are registered"
            if view.deleted:
                said += f"; {view.deleted} that were deleted here stay so, unless they get an alias"
            if view.left_out:
                said += f"; left out: {listed_reasons(view.left_out, MOST_SAID)}"
            return said
        case RegistryReason.NOT_CONFIGURED:
            return "the manager knows no MLflow server; start it with --mlflow-url, or remove spec.selection.registry"
        case RegistryReason.NOT_ALLOWED:
            return f"registered model {name} is none that models of this tenant may name ({view.why}); name another one"
        case RegistryReason.NOT_FOUND:
            return f"MLflow has no registered model {name}{last}; {stays}; create it there, or correct the name"
        case RegistryReason.UNAVAILABLE:
            return f"MLflow cannot be read ({view.why}){last}; {stays}; check the server and what the manager was given"
        case RegistryReason.ODD_ANSWER:
            return f"{view.why}{last}; {stays}; check what answers at --mlflow-url"
        case RegistryReason.NOT_WRITTEN:
            return f"versions from MLflow are not registered yet ({view.why}); it is tried again"


def registry_status(view: RegistryView, before: Any) -> Manifest:
    """Return `status.registry`; until the registry was read, `before` is what it says already of the same model."""
    if not view.is_read:
        is_same = isinstance(before, dict) and before.get("name") == view.name
        return before if is_same else {"name": view.name, "readUpTo": 0}
    listed = _listed(view.left_out)
    return {"name": view.name, "readUpTo": view.read_up_to, **({"leftOut": listed} if listed else {})}


def mark_in(status: Manifest, name: str) -> int:
    """Return up to which version a registered model was read, as a status says; 0 where it says nothing right."""
    found = status.get("registry")
    if not isinstance(found, dict) or found.get("name") != name:
        return 0
    mark = found.get("readUpTo")
    return mark if isinstance(mark, int) and not isinstance(mark, bool) and 0 <= mark < 10**9 else 0


def _listed(left_out: Sequence[LeftOut]) -> list[Manifest]:
    return [{"version": one.version, "why": one.why} for one in left_out[:MOST_LISTED]]
