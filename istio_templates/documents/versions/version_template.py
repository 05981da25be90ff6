"""Template of a version that a selection has chosen: the version of the document that it is like, and what differs."""

import re
from collections.abc import Mapping
from typing import Annotated

from pydantic import Field, model_validator

from istio_templates.documents.fields import DnsLabel, EnvVars, Spec

PLACES = ("version", "image", "uri", "digest")
"""What a text of a template may take from a registered version, in braces."""
MOST_VARIABLES = 32
MOST_PLACES = 8
"""Places in one text: each may be filled with much more than its own length."""
_PLACE = re.compile(r"\{([^{}]*)\}")
ImagePattern = Annotated[str, Field(min_length=1, max_length=512, pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/@-]*\*?$")]


class VersionTemplate(Spec):
    """How a version that is chosen is run: as the version `like` of the document, with another image and environment.

    In `image` and the values of `env` the texts `{version}`, `{image}`, `{uri}` and `{digest}` stand for what is
    registered. Only `images` are run: each is an image, or the beginning of some and `*`.
    """

    like: DnsLabel
    image: Annotated[str, Field(min_length=1, max_length=512, pattern=r"^\S+$")] = "{image}"
    env: Annotated[EnvVars, Field(max_length=MOST_VARIABLES)] = ()
    images: Annotated[tuple[ImagePattern, ...], Field(min_length=1, max_length=32)]

    @model_validator(mode="after")
    def _known_places(self) -> "VersionTemplate":
        texts = [("image", self.image), *(("env", str(one.get("value") or "")) for one in self.env)]
        for field, text in texts:
            places = _PLACE.findall(text)
            if len(places) > MOST_PLACES:
                raise ValueError(f"{field}: {len(places)} places to fill are more than {MOST_PLACES}; leave some out")
            if unknown := [place for place in places if place not in PLACES]:
                known = ", ".join(f"{{{place}}}" for place in PLACES)
                raise ValueError(f"{field}: {{{unknown[0]}}} is nothing that is registered; take one of {known}")
        return self

    def allows(self, image: str) -> bool:
        """Tell whether an image is one of those that are run."""
        return any(
            image.startswith(pattern.removesuffix("*")) if pattern.endswith("*") else image == pattern
            for pattern in self.images
        )


def filled(text: str, values: Mapping[str, str]) -> str:
    """Return a text of a template with what is registered in its places."""
    return _PLACE.sub(lambda found: values.get(found[1], found[0]), text)
