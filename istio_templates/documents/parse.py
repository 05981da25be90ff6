"""From a mapping to a typed document; whatever is wrong is named by its path in the document."""

import re
from collections.abc import Collection
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Generic, get_args

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails
from typing_extensions import TypeVar

from istio_templates.documents.access import AccessGrantSpec
from istio_templates.documents.callers.caller import CallerSpec
from istio_templates.documents.fields import ANNOTATION_BYTES, LabelKey, LabelValue, brief, dns_label
from istio_templates.documents.gateway import InferenceGatewaySpec
from istio_templates.documents.model import ModelSpec
from istio_templates.documents.override import LimitOverrideSpec
from istio_templates.documents.tenant import TenantSpec
from istio_templates.documents.versions.model_version import ModelVersionSpec
from istio_templates.documents.warmup import WarmupPlanSpec
from istio_templates.errors import MOST_PROBLEMS, Invalid, Problem
from istio_templates.facts import ObjectKey
from istio_templates.text.json_values import MAX_DEPTH, flaw_of, path_of

API_VERSION = "tidegate.dev/v1alpha1"
AnySpec = (
    InferenceGatewaySpec
    | TenantSpec
    | ModelSpec
    | LimitOverrideSpec
    | WarmupPlanSpec
    | AccessGrantSpec
    | ModelVersionSpec
    | CallerSpec
)
SpecT = TypeVar("SpecT", bound=AnySpec, default=AnySpec, covariant=True)
SPECS: dict[str, type[AnySpec]] = {
    "InferenceGateway": InferenceGatewaySpec,
    "Tenant": TenantSpec,
    "Model": ModelSpec,
    "LimitOverride": LimitOverrideSpec,
    "WarmupPlan": WarmupPlanSpec,
    "AccessGrant": AccessGrantSpec,
    "ModelVersion": ModelVersionSpec,
    "Caller": CallerSpec,
}
NAMESPACED = ("Model", "LimitOverride", "WarmupPlan", "ModelVersion", "Caller")
_LABELS = TypeAdapter(dict[LabelKey, LabelValue])
_LONGEST_NAME = 64
"""Characters of an unknown field up to which one that is like it is looked for."""
MOST_PAIRS = 1000
"""Labels or annotations of a document; Kubernetes bounds the bytes of annotations only."""
_TOP = {"apiVersion", "kind", "metadata", "spec", "status"}
# What Kubernetes itself puts there is let through: a document read back must be accepted again.
_METADATA = {
    "name", "namespace", "labels", "annotations", "uid", "resourceVersion", "generation", "creationTimestamp",
    "deletionTimestamp", "deletionGracePeriodSeconds", "finalizers", "managedFields", "ownerReferences", "selfLink",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Document(Generic[SpecT]):
    """A document that is right in itself; whether it fits the fleet is decided elsewhere."""

    kind: str
    name: str
    namespace: str | None
    spec: SpecT

    @property
    def key(self) -> ObjectKey:
        """Its key in a cluster."""
        return ObjectKey(self.kind, self.namespace or "", self.name)

    def __str__(self) -> str:
        return str(self.key)


def unlisted(raw: dict[str, Any]) -> list[dict[str, Any]]:
    """Return an object, or those in a list as kubectl prints them (`List`, `ModelList`), also without their kind."""
    kind = raw.get("kind")
    if not isinstance(kind, str) or not kind.endswith("List") or not isinstance(raw.get("items"), list):
        return [raw]
    if wrong := next((item for item in raw["items"] if not isinstance(item, dict)), None):
        raise Invalid(kind, [Problem("items", f"hold {brief(wrong)} where an object is expected; remove it")])
    named = {"apiVersion": raw.get("apiVersion"), "kind": kind.removesuffix("List")} if kind != "List" else {}
    return [found for item in raw["items"] for found in unlisted({**named, **item})]


def parse(raw: dict[str, Any]) -> Document:
    """Return the typed document; raises `Invalid` listing every field that is wrong."""
    kind = raw.get("kind")
    if not isinstance(kind, str) or kind not in SPECS:
        message = f"{brief(kind)} is no kind of {API_VERSION}; " + _nearest(str(kind), SPECS)
        raise Invalid("document", [Problem("kind", message)])
    if (flaw := flaw_of(raw)) is not None:
        raise Invalid(kind, [flaw])
    metadata = raw.get("metadata")
    problems = [*_envelope(raw), *_metadata(metadata)]
    name = metadata.get("name") if isinstance(metadata, dict) else None
    spec, found = _spec(raw.get("spec"), SPECS[kind])
    if problems or found or spec is None:
        raise Invalid(f"{kind} {name}", [*problems, *found])
    assert isinstance(metadata, dict)
    return Document(kind, metadata["name"], metadata.get("namespace") if kind in NAMESPACED else None, spec)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{brief(value)} is no text; quote it")
    return value


def _envelope(raw: dict[str, Any]) -> list[Problem]:
    problems = _unknown("", raw.keys() - _TOP, _TOP)
    if raw.get("apiVersion") != API_VERSION:
        problems.append(Problem("apiVersion", f"{brief(raw.get('apiVersion'))} is not {API_VERSION}; write that"))
    return problems


def _unknown(root: str, names: Collection[str], known: Collection[str]) -> list[Problem]:
    """Return a problem for each unknown field; beyond `MOST_PROBLEMS` of them one for all that are left."""
    first = sorted(names)[:MOST_PROBLEMS]
    problems = [Problem(f"{root}{name}", f"is unknown; {_nearest(name, known)}") for name in first]
    more = len(names) - len(first)
    return [*problems, Problem(root.rstrip("."), f"{more} more fields are unknown")] if more else problems


def _metadata(metadata: Any) -> list[Problem]:
    if not isinstance(metadata, dict):
        return [Problem("metadata", "is missing; give at least metadata.name")]
    problems = _unknown("metadata.", metadata.keys() - _METADATA, _METADATA)
    for field in ("labels", "annotations"):
        pairs = metadata.get(field)
        if pairs is not None and not (isinstance(pairs, dict) and all(isinstance(v, str) for v in pairs.values())):
            problems.append(Problem(f"metadata.{field}", "maps texts to texts only; quote numbers, true and false"))
        else:
            problems += _pairs(field, pairs or {})
    for field in ("name", "namespace"):
        value = metadata.get(field)
        if value is None and field == "namespace":
            continue
        try:
            dns_label(_text(value))
        except ValueError as error:
            problems.append(Problem(f"metadata.{field}", str(error)))
    return problems


def _pairs(field: str, pairs: dict[str, str]) -> list[Problem]:
    """Return what Kubernetes refuses in labels or annotations, before it would refuse the document."""
    if len(pairs) > MOST_PAIRS:
        return [Problem(f"metadata.{field}", f"are {len(pairs)}; at most {MOST_PAIRS} are taken")]
    checked = pairs if field == "labels" else {key.lower(): "" for key in pairs}
    try:
        _LABELS.validate_python(checked)
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False, include_input=False)
        places = dict.fromkeys(str(details["loc"][0]) for details in found)
        rule = "use letters, digits, '-', '_' and '.', at most 63, in a key perhaps after a domain and '/'"
        return [
            Problem(f"metadata.{field}.{key}", f"is no {field.removesuffix('s')} of Kubernetes; {rule}")
            for key in places
        ]
    size = sum(len(text.encode()) for pair in pairs.items() for text in pair)
    if field == "annotations" and size > ANNOTATION_BYTES:
        return [
            Problem(
                f"metadata.{field}",
                f"have {size} bytes together, and Kubernetes takes {ANNOTATION_BYTES}; shorten them",
            )
        ]
    return []


def _spec(raw: Any, spec_type: type[AnySpec]) -> tuple[AnySpec | None, list[Problem]]:
    try:
        return spec_type.model_validate({} if raw is None else raw), []
    except ValidationError as error:
        return None, problems_of(error, spec_type, "spec")
    except RecursionError:
        return None, [Problem("spec", f"is nested deeper than {MAX_DEPTH} levels")]


def problems_of(error: ValidationError, spec_type: type[BaseModel], *root: str) -> list[Problem]:
    """Return every field that is wrong in what should be a `spec_type`; their paths begin with `root`. Beyond
    `MOST_PROBLEMS` of them they are only counted."""
    errors = error.errors(include_url=False)
    explained = _prefixes(errors)
    told = [details for details in errors if not (details["type"] == "too_short" and details["loc"] in explained)]
    problems = [_problem(details, spec_type, root) for details in told[:MOST_PROBLEMS]]
    more = len(told) - len(problems)
    return [*problems, Problem(path_of([*root]), f"{more} more fields are wrong")] if more else problems


def _prefixes(errors: list[ErrorDetails]) -> set[tuple[int | str, ...]]:
    """Return the places inside which something is wrong: a list there is only short because its items were refused."""
    places = (details["loc"] for details in errors)
    return {place[:length] for place in places for length in range(len(place))}


def _problem(details: ErrorDetails, spec_type: type[BaseModel], root: tuple[str, ...]) -> Problem:
    location = [part for part in details["loc"] if part != "[key]"]
    message = details["msg"].removeprefix("Value error, ")
    if details["type"] == "extra_forbidden":
        known = _fields_at(spec_type, location[:-1])
        message = f"is unknown; {_nearest(str(location[-1]), known)}"
    elif details["type"] == "missing":
        message = "is missing; it is required"
    elif details["type"] == "string_type":
        remedy = "quote it" if isinstance(details.get("input"), bool | int | float) else "write a text"
        message = f"{brief(details.get('input'))} is no text; {remedy}"
    elif details["type"] == "literal_error" and isinstance(details.get("input"), str):
        allowed = re.findall(r"'([^']+)'", details.get("ctx", {}).get("expected", ""))
        message = f"{brief(details['input'])} is not allowed; {_nearest(details['input'], allowed)}"
    elif inner := re.match(r"([a-z][A-Za-z]*(?:\[\d+\])?(?:\.[a-z][A-Za-z]*)*): ", message):
        location.append(inner[1])
        message = message[inner.end() :]
    return Problem(path_of([*root, *location]), message)


def _fields_at(spec_type: type[BaseModel], location: list[Any]) -> list[str]:
    """Return the field names that are known at a place in a document."""
    current: Any = spec_type
    for part in location:
        if isinstance(part, str):
            fields = {info.alias: info for info in current.model_fields.values()}
            if part not in fields:
                return []
            current = _model_in(fields[part].annotation)
        if current is None:
            return []
    return [str(info.alias) for info in current.model_fields.values()]


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for inner in get_args(annotation) if (found := _model_in(inner)) is not None), None)


def _nearest(name: str, known: Any) -> str:
    names = sorted(known)
    close = get_close_matches(name, names, n=1, cutoff=0.6) if len(name) <= _LONGEST_NAME else []
    listed = f"one of {', '.join(names)} is allowed" if names else "nothing is allowed here"
    return f"did you mean {close[0]}? ({listed})" if close else listed
