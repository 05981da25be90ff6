"""Sticky assignment: the weights of a Model keep each caller on one version."""

from typing import Annotated

from pydantic import Field, model_validator

from istio_templates.documents.fields import HeaderName, Spec, rule


class StickyCookie(Spec):
    """A cookie by whose value a caller is recognised. The application sets it: the gateway gives none to callers."""

    name: Annotated[str, Field(pattern="^[A-Za-z0-9_-]{1,64}$")]


class Sticky(Spec):
    """By what a caller is recognised: the value of a `header`, or a `cookie`. Its hash decides for a version as long as
    the weights stay. Requests without it are divided by chance."""

    model_config = rule("has(self.header) != has(self.cookie)", "give exactly one of header and cookie")

    header: HeaderName | None = None
    cookie: StickyCookie | None = None

    @model_validator(mode="after")
    def _one_key(self) -> "Sticky":
        if (self.header is None) == (self.cookie is None):
            raise ValueError("give exactly one of header and cookie")
        return self
