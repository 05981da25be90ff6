"""A plan with all that belongs to it, as one text: what a gate keeper and an agent read, and what a verdict refers
to."""

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from pydantic import ValidationError

from istio_templates.documents.warmup import FileRef, WarmupPlanSpec
from istio_templates.errors import Invalid, Problem
from warmup.plans.tensors import Files
from warmup.protocols.base import Server


@dataclass(frozen=True)
class Bundle:
    """A plan, the name of the model it is for, and the contents of the files that it refers to."""

    model: str
    spec: WarmupPlanSpec
    files: Files = field(default_factory=dict)

    def text(self) -> str:
        """Return the bundle as JSON: the same text for the same bundle."""
        files: dict[str, str] = {
            f"{ref.config_map}/{ref.key}": base64.b64encode(content).decode() for ref, content in self.files.items()
        }
        spec = self.spec.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_defaults=True)
        return json.dumps({"model": self.model, "plan": spec, "files": files}, sort_keys=True, separators=(",", ":"))

    @property
    def server(self) -> Server:
        """Return the server that its requests are for."""
        return Server(self.spec.target, self.spec.target.model or self.model)

    @property
    def hash(self) -> str:
        """Return the name by which verdicts refer to this bundle."""
        return hash_of(self.text())


def hash_of(text: str) -> str:
    """Return the hash of a bundle's text."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def bundle_from(text: str) -> Bundle:
    """Return the bundle in a text that `Bundle.text` made; raises `Invalid` where it is none."""
    try:
        raw = json.loads(text)
        files: Mapping[str, str] = raw["files"]
        contents = {_ref(name): base64.b64decode(content) for name, content in files.items()}
        return Bundle(str(raw["model"]), WarmupPlanSpec.model_validate(raw["plan"]), contents)
    except (ValueError, KeyError, TypeError, AttributeError, ValidationError) as error:
        raise Invalid(
            "warm-up plan", [Problem("", f"cannot be read ({error}); let the manager write it again")]
        ) from error


def _ref(name: str) -> FileRef:
    config_map, _, key = name.partition("/")
    return FileRef(config_map=config_map, key=key)
