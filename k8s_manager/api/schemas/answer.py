"""What all answers have in common, and the answer to a call that failed."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel


class ApiAnswer(BaseModel):
    """A part of an answer: camelCase outside.

    The description leaves objects open, so that a field that is added later breaks no client; tests hold the
    answers of today to exactly these fields.
    """

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True)


def _without_default(schema: dict[str, Any]) -> None:
    schema.pop("default", None)


def optional(alias: str | None = None, description: str | None = None) -> Any:
    """Return the default of a field that an answer may leave out, and that is never null where it is there."""
    return Field(default=None, alias=alias, description=description, json_schema_extra=_without_default)


class FieldProblem(ApiAnswer):
    """One field that is wrong, by its path, and what to do about it."""

    field: str
    message: str


class ProblemDetails(ApiAnswer):
    """Why a call failed (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    problems: list[FieldProblem]
    request_id: str = Field(description="Also in the header X-Request-Id, the audit trail and the log.")
