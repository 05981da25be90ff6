"""Caller: a program or a person that calls the models of a tenant, and what it may call."""

from typing import Annotated

from pydantic import Field, model_validator

from istio_templates.documents.fields import DnsLabel, Labels, Spec, rule
from istio_templates.documents.override import Moment

MOST_REVOKED = 1000
MOST_MODELS = 500
TokenId = Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[!-~]+$")]
Person = Annotated[str, Field(min_length=1, max_length=253)]


class RevokedToken(Spec):
    """A token that is no longer good: its id (`jti`), and when it would have expired. After that it leaves the list."""

    id: TokenId
    expires: Moment


class CallerSpec(Spec):
    """Who calls the models of a tenant, in the tenant's namespace. Tokens name it by the document's name.

    It may call the `models` that are listed, or those with `modelLabels`; without either all models of the tenant.
    After `expires`, or while it is `suspended`, it may call none. `revokedTokens` are no longer good.
    """

    model_config = rule(
        "!(has(self.models) && has(self.modelLabels))", "give models or modelLabels: the one or the other"
    )

    display_name: Annotated[str, Field(min_length=1, max_length=200, pattern=r"\S")] | None = None
    owners: Annotated[tuple[Person, ...], Field(max_length=100)] = ()
    models: Annotated[tuple[DnsLabel, ...], Field(min_length=1, max_length=MOST_MODELS)] | None = None
    model_labels: Annotated[Labels, Field(min_length=1, max_length=20)] | None = None
    expires: Moment | None = None
    suspended: bool = Field(default=False, strict=True)
    revoked_tokens: Annotated[tuple[RevokedToken, ...], Field(max_length=MOST_REVOKED)] = ()

    @model_validator(mode="after")
    def _one_selection(self) -> "CallerSpec":
        if self.models is not None and self.model_labels is not None:
            raise ValueError("give models or modelLabels: the one or the other")
        if self.models is not None and len(set(self.models)) < len(self.models):
            raise ValueError("models: one is listed twice; list it once")
        return self

    @model_validator(mode="after")
    def _revoked_once(self) -> "CallerSpec":
        ids = [token.id for token in self.revoked_tokens]
        if len(set(ids)) < len(ids):
            raise ValueError("revokedTokens: one id is listed twice; keep the later expiry")
        return self
