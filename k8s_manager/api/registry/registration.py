"""Whether a registration says anything else than what is registered. Pure."""

from collections.abc import Iterator, Sequence
from typing import Any

from istio_templates.documents import ModelVersionSpec
from istio_templates.documents.fields import brief, seconds
from istio_templates.documents.override import moment
from istio_templates.documents.versions.model_version import VersionContent, VersionEvaluation
from istio_templates.errors import Problem

_CONTENT = ("model", "uri", "digest", "image", "data_until", "cost", "latency", "errors")
_REMEDY = "register under another version, or delete the registered one first"


def differences(given: VersionContent, there: ModelVersionSpec) -> list[Problem]:
    """Return in what a registration contradicts the version that is registered; what it does not say is no
    difference, and neither is what was added since."""
    return [*_differing_fields(given, there), *_differing_evaluations(given.evaluations, there.evaluations)]


def evaluated_again(given: VersionEvaluation, there: Sequence[VersionEvaluation]) -> VersionEvaluation | None:
    """Return the evaluation of the same metric on the same data set at the same moment; None where there is none."""
    return next((one for one in there if _place(one) == _place(given)), None)


def is_same_result(one: VersionEvaluation, other: VersionEvaluation) -> bool:
    """Tell whether two evaluations say the same."""
    return (one.value, one.samples) == (other.value, other.samples)


def _differing_fields(given: VersionContent, there: ModelVersionSpec) -> Iterator[Problem]:
    names = {name: info.alias or name for name, info in VersionContent.model_fields.items()}
    for name in _CONTENT:
        mine, known = getattr(given, name), getattr(there, name)
        if mine is not None and _comparable(name, mine) != _comparable(name, known):
            what = "is not registered" if known is None else f"is registered as {brief(known)}"
            yield Problem(names[name], f"{what}, and this says {brief(mine)}; {_REMEDY}")


def _differing_evaluations(given: Sequence[VersionEvaluation], there: Sequence[VersionEvaluation]) -> Iterator[Problem]:
    for number, one in enumerate(given):
        known = evaluated_again(one, there)
        if known is None:
            said = f"{one.metric} on {one.dataset} at {one.at} is not registered; add it: tidegate versions evaluate"
            yield Problem(f"evaluations[{number}]", said)
        elif not is_same_result(one, known):
            said = f"{one.metric} on {one.dataset} at {one.at} is registered as {known.value:g}"
            yield Problem(f"evaluations[{number}]", f"{said}, and this says {one.value:g}; {_REMEDY}")


def _place(one: VersionEvaluation) -> tuple[Any, ...]:
    return one.dataset, one.metric, moment(one.at)


def _comparable(name: str, value: Any) -> Any:
    """Return a value so that two spellings of it are equal."""
    if value is None:
        return None
    return moment(value) if name == "data_until" else seconds(value) if name == "latency" else value
