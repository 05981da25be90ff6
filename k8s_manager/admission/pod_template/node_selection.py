"""Where a pod may run: node selector, affinity, tolerations and spread."""

from collections.abc import Iterator
from typing import Any

from k8s_manager.admission.pod_template.formats import dns_label, label_value, qualified_name
from k8s_manager.admission.pod_template.metadata import check_labels, check_requirement, check_selector
from k8s_manager.admission.pod_template.violation import Violation, below, elements, wrong

_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
_PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"
_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")


def check_scheduling(spec: dict[str, Any]) -> Iterator[Violation]:
    """Yield what is wrong with where a pod may run."""
    yield from below(("nodeSelector",), check_labels(spec.get("nodeSelector") or {}))
    affinity = spec.get("affinity") or {}
    yield from below(("affinity", "nodeAffinity"), _node_affinity(affinity.get("nodeAffinity") or {}))
    for field in ("podAffinity", "podAntiAffinity"):
        yield from below(("affinity", field), _pod_affinity(affinity.get(field) or {}))
    for place, toleration in elements(spec, "tolerations"):
        yield from below(place, _toleration(toleration))
    for place, spread in elements(spec, "topologySpreadConstraints"):
        yield from below(place, _spread(spread))


def _node_affinity(affinity: dict[str, Any]) -> Iterator[Violation]:
    if (required := affinity.get(_REQUIRED)) is not None:
        if not required["nodeSelectorTerms"]:
            yield (_REQUIRED, "nodeSelectorTerms"), "is empty; give a term, or remove the requirement"
        for place, term in elements(required, "nodeSelectorTerms"):
            yield from below((_REQUIRED, *place), _node_term(term))
    for place, preferred in elements(affinity, _PREFERRED):
        yield from _weight(preferred, place)
        yield from below((*place, "preference"), _node_term(preferred["preference"]))


def _node_term(term: dict[str, Any]) -> Iterator[Violation]:
    for place, requirement in elements(term, "matchExpressions"):
        yield from below(place, check_requirement(requirement, ("Gt", "Lt")))
    for place, requirement in elements(term, "matchFields"):
        if requirement["key"] != "metadata.name" or requirement["operator"] not in ("In", "NotIn"):
            yield place, "can ask only for metadata.name with In or NotIn; use matchExpressions"
        elif len(requirement.get("values") or ()) != 1:
            yield (*place, "values"), "needs exactly one name; change it"


def _pod_affinity(affinity: dict[str, Any]) -> Iterator[Violation]:
    for place, term in elements(affinity, _REQUIRED):
        yield from below(place, _pod_term(term))
    for place, preferred in elements(affinity, _PREFERRED):
        yield from _weight(preferred, place)
        yield from below((*place, "podAffinityTerm"), _pod_term(preferred["podAffinityTerm"]))


def _pod_term(term: dict[str, Any]) -> Iterator[Violation]:
    yield from wrong(("topologyKey",), qualified_name(term["topologyKey"]))
    for field in ("labelSelector", "namespaceSelector"):
        yield from below((field,), check_selector(term.get(field) or {}))
    for place, namespace in elements(term, "namespaces"):
        yield from wrong(place, dns_label(namespace))
    yield from _label_keys(term)
    if both := set(term.get("matchLabelKeys") or ()) & set(term.get("mismatchLabelKeys") or ()):
        yield ("matchLabelKeys",), f"and mismatchLabelKeys both have {', '.join(sorted(both))}; keep one of the two"


def _label_keys(term: dict[str, Any]) -> Iterator[Violation]:
    selector = term.get("labelSelector") or {}
    keys = {*(selector.get("matchLabels") or ()), *(e["key"] for e in selector.get("matchExpressions") or ())}
    for field in ("matchLabelKeys", "mismatchLabelKeys"):
        for place, key in elements(term, field):
            if "labelSelector" not in term:
                yield place, "needs a labelSelector; add one"
            elif key in keys:
                yield place, f"{key!r} is in the labelSelector too; keep one of the two"
            yield from wrong(place, qualified_name(key))


def _weight(preferred: dict[str, Any], place: tuple[str | int, ...]) -> Iterator[Violation]:
    if not 1 <= preferred["weight"] <= 100:
        yield (*place, "weight"), f"{preferred['weight']} is not between 1 and 100; change it"


def _toleration(toleration: dict[str, Any]) -> Iterator[Violation]:
    key, operator, value = (toleration.get(name, "") for name in ("key", "operator", "value"))
    if key:
        yield from wrong(("key",), qualified_name(key))
    elif operator != "Exists":
        yield ("operator",), "has to be Exists where no key is given; set it, or give a key"
    if operator not in ("", "Equal", "Exists"):
        yield ("operator",), f"{operator!r} is no operator; choose one of Equal, Exists"
    elif operator == "Exists" and value:
        yield ("value",), "is not allowed with operator Exists; remove it"
    elif operator != "Exists":
        yield from wrong(("value",), label_value(value))
    if toleration.get("effect") and toleration["effect"] not in _EFFECTS:
        yield ("effect",), f"{toleration['effect']!r} is not allowed; choose one of {', '.join(_EFFECTS)}"
    if "tolerationSeconds" in toleration and toleration.get("effect") != "NoExecute":
        yield ("tolerationSeconds",), "needs effect NoExecute; set that, or remove it"


def _spread(spread: dict[str, Any]) -> Iterator[Violation]:
    if spread["maxSkew"] < 1:
        yield ("maxSkew",), f"{spread['maxSkew']} is below 1; give 1 or more"
    if spread["whenUnsatisfiable"] not in ("DoNotSchedule", "ScheduleAnyway"):
        yield ("whenUnsatisfiable",), "choose one of DoNotSchedule, ScheduleAnyway"
    if "minDomains" in spread and (spread["minDomains"] < 1 or spread["whenUnsatisfiable"] != "DoNotSchedule"):
        yield ("minDomains",), "is 1 or more, and only with whenUnsatisfiable: DoNotSchedule; change it"
    for field in ("nodeAffinityPolicy", "nodeTaintsPolicy"):
        if spread.get(field) not in (None, "Honor", "Ignore"):
            yield (field,), f"{spread[field]!r} is not allowed; choose one of Honor, Ignore"
    yield from below(("labelSelector",), check_selector(spread.get("labelSelector") or {}))
    for place, key in elements(spread, "matchLabelKeys"):
        yield from wrong(place, qualified_name(key))
