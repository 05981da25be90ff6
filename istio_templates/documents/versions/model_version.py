"""ModelVersion: what is known of one version of a model, whether it serves or not."""

from typing import Annotated

from pydantic import Field, model_validator

from istio_templates.documents.fields import DnsLabel, Duration, Spec, rule
from istio_templates.documents.override import Moment, Words
from istio_templates.documents.versions.registry_source import Alias, RegistryOrigin

MOST_EVALUATIONS = 200
MOST_APPROVALS = 10
MOST_ALIASES = 20
Named = Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[!-~]([ -~]*[!-~])?$")]
Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class VersionEvaluation(Spec):
    """The value of a metric on a data set, from so many samples, at a moment."""

    dataset: Named
    metric: Named
    value: Annotated[float, Field(allow_inf_nan=False)]
    samples: int = Field(ge=0, le=2**53, strict=True)
    at: Moment


class VersionBlock(Spec):
    """Why a version may not be chosen, such as answers that were wrong."""

    reason: Words


class PinnedVersion(Spec):
    """A person's choice of this version: by whom, since when, why, and until when; without `until` for as long as it
    stands here. `approvals` are other persons who agree, as far as the tenant's `pinApprovers` asks for some."""

    by: Named
    at: Moment
    until: Moment | None = None
    reason: Words | None = None
    approvals: Annotated[tuple[Named, ...], Field(max_length=MOST_APPROVALS)] = ()


class VersionContent(Spec):
    """What training says of a version: what it is, and how good.

    `dataUntil` says until when its data reaches; `cost` is in any unit that is the same for all versions of the model;
    `latency` (99th percentile) and `errors` (the share of requests that fail, from 0 to 1) are as measured before it
    serves.
    """

    model_config = rule(
        "has(self.uri) || has(self.image)", "give uri, image or both: a version is the one or the other"
    )

    model: DnsLabel
    uri: Annotated[str, Field(max_length=2048, pattern=r"^[a-z][a-z0-9+.-]*:[!-~]+$")] | None = None
    digest: Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$", max_length=71)] | None = None
    image: Annotated[str, Field(min_length=1, max_length=512, pattern=r"^\S+$")] | None = None
    data_until: Moment | None = None
    evaluations: Annotated[tuple[VersionEvaluation, ...], Field(max_length=MOST_EVALUATIONS)] = ()
    cost: Amount | None = None
    latency: Duration | None = None
    errors: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] | None = None

    @model_validator(mode="after")
    def _has_content(self) -> "VersionContent":
        if self.uri is None and self.image is None:
            raise ValueError("give uri, image or both: a version is the one or the other")
        return self

    @model_validator(mode="after")
    def _evaluated_once(self) -> "VersionContent":
        seen: set[tuple[str, str, str]] = set()
        for number, one in enumerate(self.evaluations):
            place = (one.dataset, one.metric, one.at)
            if place in seen:
                raise ValueError(
                    f"evaluations: number {number + 1} repeats {one.metric} on {one.dataset} at {one.at}; keep one"
                )
            seen.add(place)
        return self


class ModelVersionSpec(VersionContent):
    """A version of a model of the same namespace, as training has registered it. Nothing is rendered from it.

    The document's name is `MODEL-VERSION`, so that two pipelines that register one version meet in one document.
    `blocked` keeps it from being chosen, `pinned` chooses it. `aliases` are the names that point at it, such as
    champion. `registeredBy` is written by the REST API, `registry` by the manager, where it has read the version from
    MLflow: it keeps `aliases` as they are there, and adds what was not known.
    """

    blocked: VersionBlock | None = None
    pinned: PinnedVersion | None = None
    aliases: Annotated[tuple[Alias, ...], Field(max_length=MOST_ALIASES)] = ()
    registered_by: Named | None = None
    registry: RegistryOrigin | None = None

    @model_validator(mode="after")
    def _aliased_once(self) -> "ModelVersionSpec":
        if len(set(self.aliases)) < len(self.aliases):
            raise ValueError("aliases: one is listed twice; keep one")
        return self


def document_name(model: str, version: str) -> str:
    """Return the name of the document of a version."""
    return f"{model}-{version}"


def version_of(name: str, model: str) -> str | None:
    """Return the version that a document of a model is about, by its name; None where the name does not fit."""
    version = name.removeprefix(f"{model}-")
    return version if version != name and version else None
