"""Environment variables of a container, and where their values come from."""

import re
from collections.abc import Iterator
from typing import Any

from istio_templates.quantity import quantity
from k8s_manager.admission.pod_template.formats import dns_subdomain, env_name, file_key, label_value, qualified_name
from k8s_manager.admission.pod_template.violation import Violation, below, elements, wrong

_SOURCES = ("fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef", "fileKeyRef")
OF_METADATA = ("metadata.name", "metadata.namespace", "metadata.uid")
_OF_POD = (*OF_METADATA, "spec.nodeName", "spec.serviceAccountName", "status.hostIP", "status.hostIPs", "status.podIP",
           "status.podIPs")  # fmt: skip
_SUBSCRIPT = re.compile(r"metadata\.(labels|annotations)\['(.*)'\]")
_AMOUNT = re.compile(r"(limits|requests)\.(cpu|memory|ephemeral-storage|hugepages-.+)")
_DIVISORS = {
    "cpu": ("1m", "1"),
    "memory": ("1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei"),
}


def check_env(container: dict[str, Any]) -> Iterator[Violation]:
    """Yield what is wrong with the variables of a container."""
    for place, variable in elements(container, "env"):
        yield from wrong((*place, "name"), env_name(variable["name"]))
        if "valueFrom" in variable:
            yield from below((*place, "valueFrom"), _source(variable))
    for place, source in elements(container, "envFrom"):
        found = [name for name in ("configMapRef", "secretRef") if name in source]
        if len(found) != 1:
            yield place, "give exactly one of configMapRef and secretRef"
        for name in found:
            if not source[name].get("name"):
                yield (*place, name, "name"), "is missing; name the object"
            else:
                yield from wrong((*place, name, "name"), dns_subdomain(source[name]["name"]))
        if source.get("prefix"):
            yield from wrong((*place, "prefix"), env_name(source["prefix"]))


def _source(variable: dict[str, Any]) -> Iterator[Violation]:
    source = variable["valueFrom"]
    found = [name for name in _SOURCES if name in source]
    if variable.get("value"):
        yield (), "is given beside value; keep one of the two"
    if len(found) != 1:
        yield (), f"give exactly one of {', '.join(_SOURCES[:-1])}"
    if "fieldRef" in source:
        yield from below(("fieldRef",), check_field(source["fieldRef"], _OF_POD))
    if "resourceFieldRef" in source:
        yield from below(("resourceFieldRef",), check_amount(source["resourceFieldRef"]))
    if "fileKeyRef" in source:
        yield ("fileKeyRef",), "is switched off in Kubernetes; use configMapKeyRef or secretKeyRef"
    for name in ("configMapKeyRef", "secretKeyRef"):
        if name in source:
            if not source[name].get("name"):
                yield (name, "name"), "is missing; name the object"
            else:
                yield from wrong((name, "name"), dns_subdomain(source[name]["name"]))
            yield from wrong((name, "key"), file_key(source[name]["key"]))


def check_field(reference: dict[str, Any], allowed: tuple[str, ...]) -> Iterator[Violation]:
    """Yield what is wrong with a reference to one of a pod's own fields."""
    if reference.get("apiVersion") not in (None, "", "v1"):
        yield ("apiVersion",), f"{reference['apiVersion']!r} is not v1; remove it"
    path = reference["fieldPath"]
    if found := _SUBSCRIPT.fullmatch(path):
        message = qualified_name(found[2] if found[1] == "labels" else found[2].lower())
        yield from wrong(("fieldPath",), message)
    elif path not in allowed:
        yield ("fieldPath",), f"{path!r} cannot be read; choose one of {', '.join(allowed)}"


def check_amount(reference: dict[str, Any]) -> Iterator[Violation]:
    """Yield what is wrong with a reference to a container's request or limit."""
    found = _AMOUNT.fullmatch(reference["resource"])
    if not found or label_value(found[2]):
        yield ("resource",), f"{reference['resource']!r} cannot be read; write one such as limits.memory"
        return
    allowed = _DIVISORS["cpu" if found[2] == "cpu" else "memory"]
    given = quantity(reference.get("divisor", "0"))
    if given and given not in [quantity(one) for one in allowed]:
        yield ("divisor",), f"{reference['divisor']!r} is not allowed; choose one of {', '.join(allowed)}"
