"""What calls send: the short forms beside whole documents.

What ends in the spec of a document is taken as it comes (`Any`) and is checked there, with all rules of the document's
type.
"""

from typing import Annotated, Any

from pydantic import BeforeValidator, ConfigDict, Field, WithJsonSchema

from istio_templates.documents import unlisted
from istio_templates.documents.crd import structural
from istio_templates.documents.fields import Spec
from k8s_manager.client import MOST_TOGETHER
from k8s_manager.release.decision.observation import ReleaseVerb
from ratelimiter.simulation.scenario import Scenario

MOST_REASON, MOST_TICKET = 500, 100
LONGEST_HOLD = 60
"""Seconds that a measurement may have a model for itself before it asks again."""
_SHARE = {
    "type": "object",
    "required": ["version", "weight"],
    "properties": {
        "version": {"type": "string"},
        "weight": {"type": "integer", "minimum": 0, "maximum": 100},
    },
}
_DOCUMENT = {
    "type": "object",
    "required": ["apiVersion", "kind", "metadata", "spec"],
    "properties": {
        "apiVersion": {"type": "string"},
        "kind": {"type": "string"},
        "metadata": {"type": "object"},
        "spec": {"type": "object"},
    },
}
_ROW = {
    "type": "object",
    "required": ["time", "requests"],
    "properties": {"time": {"type": "number", "minimum": 0}, "requests": {"type": "integer", "minimum": 0}},
}
_SCENARIO = Scenario.model_json_schema(by_alias=True)


def _words(most: int) -> dict[str, Any]:
    return {"type": "string", "description": f"At most {most} characters."}


def _count(value: Any) -> Any:
    if type(value) is not int or value < 0:
        raise ValueError('send {"replicas": N} with a whole number from 0 on')
    return value


def _holder(value: Any) -> Any:
    if not (isinstance(value, str) and 8 <= len(value) <= 64 and value.isascii() and value.isalnum()):
        raise ValueError("give 8 to 64 letters and digits that no other request uses")
    return value


def _hold(value: Any) -> Any:
    if type(value) is not int or not 0 <= value <= LONGEST_HOLD:
        raise ValueError(f"give a whole number from 0 (it is over) to {LONGEST_HOLD}")
    return value


def _given(value: Any) -> Any:
    if not value:
        raise ValueError("is missing; it is required")
    return value


def _documents(value: Any) -> Any:
    if not isinstance(value, list) or not all(isinstance(raw, dict) for raw in value):
        raise ValueError('send {"documents": [...]}, each as you would apply it')
    found = [raw for given in value for raw in unlisted(given)]
    if not 0 < len(found) <= MOST_TOGETHER:
        raise ValueError(f"has {len(found)}; send 1 to {MOST_TOGETHER}")
    return found


def _rows(value: Any) -> Any:
    if not isinstance(value, list) or not all(isinstance(row, dict) for row in value):
        raise ValueError('is no list of rows such as {"time": 0, "requests": 40}')
    return value


class ScaleBody(Spec):
    """The replicas that a version shall have."""

    replicas: Annotated[int, BeforeValidator(_count), Field(ge=0)]


class TrafficBody(Spec):
    """The shares of the traffic that versions shall have, in per cent."""

    traffic: Annotated[Any, WithJsonSchema({"type": "array", "items": _SHARE})]


class PauseBody(Spec):
    """The reason for which a model's routes answer 503; without one they are open again."""

    paused: Annotated[Any, WithJsonSchema({"type": ["string", "null"]})] = None


class ReleaseBody(Spec):
    """What is asked of the release of a model."""

    action: ReleaseVerb


class ClaimBody(Spec):
    """The tenant that shall own a host, and the one that owns it now."""

    tenant: str
    source: str = Field(default="", alias="from")


class RollbackBody(Spec):
    """The revision that shall hold again, and why; without a number the one before, of a deleted document the last."""

    revision: int | None = Field(default=None, ge=1, strict=True)
    deleted: bool = Field(default=False, strict=True, description="Of the document of this name that was deleted last.")
    reason: Annotated[str, Field(max_length=MOST_REASON), WithJsonSchema(_words(MOST_REASON))] = ""
    ticket: Annotated[str, Field(max_length=MOST_TICKET), WithJsonSchema(_words(MOST_TICKET))] = ""


class MeasurementBody(Spec):
    """Who measures a model, and for how many seconds; 0 ends it."""

    model_config = ConfigDict(extra="ignore")

    holder: Annotated[
        str,
        BeforeValidator(_holder),
        WithJsonSchema({"type": "string", "minLength": 8, "maxLength": 64, "pattern": "^[A-Za-z0-9]+$"}),
    ]
    seconds: Annotated[int, BeforeValidator(_hold), Field(ge=0, le=LONGEST_HOLD, description="0 gives it back.")]


class OverrideBody(Spec):
    """What holds in place of a model's limit for `ttl`, or until `expires`, and why."""

    per_replica_qps: Annotated[Any, WithJsonSchema({"type": "number"})] = None
    total: Annotated[Any, WithJsonSchema({"type": "number"})] = None
    mode: Annotated[Any, WithJsonSchema({"type": "string", "enum": ["off", "shadow", "enforce"]})] = None
    action: Annotated[Any, WithJsonSchema({"type": "string", "enum": ["freeze", "unlimited", "floor"]})] = None
    reason: Annotated[Any, BeforeValidator(_given), WithJsonSchema({"type": "string"})]
    ttl: Annotated[
        Any, WithJsonSchema({"type": "string", "description": "How long it holds, such as 2h; or say `expires`."})
    ] = None
    expires: Annotated[
        Any,
        WithJsonSchema({"type": "string", "description": "When it ends (RFC 3339). A plan holds for this one only."}),
    ] = None
    author: Annotated[Any, WithJsonSchema({"type": "string"})] = None


class DocumentsBody(Spec):
    """Documents that are checked together, each as it would be applied."""

    documents: Annotated[
        list[dict[str, Any]],
        BeforeValidator(_documents),
        WithJsonSchema({"type": "array", "minItems": 1, "maxItems": MOST_TOGETHER, "items": _DOCUMENT}),
    ]


class SimulationBody(Spec):
    """A limit with its surroundings, and the traffic that it is tried on."""

    settings: Annotated[Any, WithJsonSchema(structural(_SCENARIO, _SCENARIO["$defs"]))]
    trace: Annotated[list[dict[str, Any]], BeforeValidator(_rows), WithJsonSchema({"type": "array", "items": _ROW})]
