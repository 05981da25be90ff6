"""Labels, annotations and selectors."""

from collections.abc import Iterator
from typing import Any

from istio_templates.documents.fields import ANNOTATION_BYTES
from k8s_manager.admission.pod_template.formats import label_value, qualified_name
from k8s_manager.admission.pod_template.violation import Violation, below, elements, wrong

_LISTED, _ALONE = ("In", "NotIn"), ("Exists", "DoesNotExist")


def check_metadata(metadata: dict[str, Any]) -> Iterator[Violation]:
    """Yield what is wrong with labels and annotations."""
    yield from below(("labels",), check_labels(metadata.get("labels") or {}))
    yield from below(("annotations",), check_annotations(metadata.get("annotations") or {}))


def check_labels(labels: dict[str, str]) -> Iterator[Violation]:
    """Yield the keys and values that no label may have."""
    for key, value in labels.items():
        yield from wrong((key,), qualified_name(key) or label_value(value))


def check_annotations(annotations: dict[str, str]) -> Iterator[Violation]:
    """Yield the keys that no annotation may have; all together may be so large only."""
    for key in annotations:
        yield from wrong((key,), qualified_name(key.lower()))
    size = sum(len(key.encode()) + len(value.encode()) for key, value in annotations.items())
    if size > ANNOTATION_BYTES:
        yield (), f"all annotations together have {size} bytes; {ANNOTATION_BYTES} are allowed, take some out"


def check_selector(selector: dict[str, Any]) -> Iterator[Violation]:
    """Yield what is wrong with a label selector."""
    yield from below(("matchLabels",), check_labels(selector.get("matchLabels") or {}))
    for place, requirement in elements(selector, "matchExpressions"):
        yield from below(place, check_requirement(requirement, ()))


def check_requirement(requirement: dict[str, Any], numeric: tuple[str, ...]) -> Iterator[Violation]:
    """Yield what is wrong with one expression of a selector; `numeric` operators compare with one number."""
    yield from wrong(("key",), qualified_name(requirement["key"]))
    operator, values = requirement["operator"], requirement.get("values") or []
    if operator not in (*_LISTED, *_ALONE, *numeric):
        allowed = ", ".join((*_LISTED, *_ALONE, *numeric))
        yield ("operator",), f"{operator!r} is no operator; choose one of {allowed}"
    elif operator in _LISTED and not values:
        yield ("values",), f"is empty; operator {operator} needs a value"
    elif operator in _ALONE and values:
        yield ("values",), f"is not allowed with operator {operator}; remove it"
    elif operator in numeric and len(values) != 1:
        yield ("values",), f"operator {operator} needs one number, in quotes"
    elif operator in _LISTED:
        for number, value in enumerate(values):
            yield from wrong(("values", number), label_value(value))
