"""The version that a selection has chosen, as `status.selected` has it, and the document to go by with it.

The document stays what it is, in Git too: the version is put into it wherever it is read. It holds as long as the
document points where it pointed when the version was chosen; one that is made to point elsewhere goes by itself again.
"""

from dataclasses import dataclass, replace
from typing import Any

from istio_templates.documents.model import ModelSpec, TrafficShare, Version
from istio_templates.documents.parse import Document
from istio_templates.documents.versions.version_template import VersionTemplate, filled
from istio_templates.facts import Manifest


@dataclass(frozen=True, slots=True)
class ChosenVersion:
    """A registered version that was chosen `instead` of the one at which the document points."""

    version: str
    image: str
    uri: str
    digest: str
    instead: str

    @property
    def record(self) -> Manifest:
        """What `status.selected` says of it."""
        return {name: getattr(self, name) for name in self.__slots__}

    @property
    def values(self) -> dict[str, str]:
        """What templates take from it."""
        return {"version": self.version, "image": self.image, "uri": self.uri, "digest": self.digest}


def chosen_in(status: Manifest) -> ChosenVersion | None:
    """Return the version in `status.selected`; None where there is none, or others have written something else."""
    found = status.get("selected")
    if not isinstance(found, dict):
        return None
    values = [found.get(name) for name in ChosenVersion.__slots__]
    if not all(isinstance(value, str) for value in values) or not found["version"]:
        return None
    return ChosenVersion(*values)  # type: ignore[arg-type]


def with_chosen(document: Document[Any], status: Manifest) -> Document[Any]:
    """Return the document of a Model to go by: with the version that its selection has chosen, if it has one."""
    spec = document.spec
    if not isinstance(spec, ModelSpec) or (chosen := holding(spec, status)) is None:
        return document
    return replace(document, spec=_expanded(spec, chosen))


def holding(spec: ModelSpec, status: Manifest) -> ChosenVersion | None:
    """Return the chosen version that holds for a document as it is written; None where that holds itself."""
    chosen, template = chosen_in(status), spec.selection.version_template if spec.selection else None
    if chosen is None or template is None:
        return None
    is_listed = any(version.name == chosen.version for version in spec.versions)
    if not is_listed and not template.allows(run_image(template, chosen)):
        return None
    return chosen if chosen.instead == spec.target else None


def run_image(template: VersionTemplate, chosen: ChosenVersion) -> str:
    """Return the image that runs a chosen version."""
    return filled(template.image, chosen.values)


def _expanded(spec: ModelSpec, chosen: ChosenVersion) -> ModelSpec:
    known = {version.name for version in spec.versions}
    made = () if chosen.version in known else _made(spec, chosen)
    shares = {share.version: 0 for share in spec.traffic} | {chosen.version: 100}
    traffic = tuple(TrafficShare(version=version, weight=weight) for version, weight in shares.items())
    return spec.model_copy(update={"versions": (*spec.versions, *made), "traffic": traffic})


def _made(spec: ModelSpec, chosen: ChosenVersion) -> tuple[Version, ...]:
    template = spec.selection.version_template if spec.selection else None
    like = next((version for version in spec.versions if template and version.name == template.like), None)
    if template is None or like is None or like.workload is None:
        return ()
    own = [
        {**one, "value": filled(str(one["value"]), chosen.values)} if "value" in one else one for one in template.env
    ]
    replaced = {one.get("name") for one in own}
    env = (*(one for one in like.workload.env if one.get("name") not in replaced), *own)
    workload = like.workload.model_copy(update={"image": run_image(template, chosen), "env": env})
    return (like.model_copy(update={"name": chosen.version, "workload": workload}),)
