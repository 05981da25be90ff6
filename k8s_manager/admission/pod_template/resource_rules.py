"""Requests, limits and claims of a container."""

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

from istio_templates.quantity import quantity
from k8s_manager.admission.pod_template.formats import qualified_name
from k8s_manager.admission.pod_template.violation import Violation, elements

_OWN = ("cpu", "memory", "ephemeral-storage")
_PAGES = "hugepages-"


def check_resources(resources: dict[str, Any], claims: frozenset[str]) -> Iterator[Violation]:
    """Yield what is wrong with the resources of a container in a pod that has these claims."""
    limits, requests = resources.get("limits") or {}, resources.get("requests") or {}
    for field, amounts in (("limits", limits), ("requests", requests)):
        for name, amount in amounts.items():
            if message := _amount(name, amount):
                yield ("resources", field, name), message
        if any(name.startswith(_PAGES) for name in amounts) and not {"cpu", "memory"} & {*limits, *requests}:
            yield ("resources", field), "has hugepages without cpu and memory; give one of these too"
    for name, amount in requests.items():
        most, least = quantity(limits.get(name)), quantity(amount)
        if _is_indivisible(name) and most != least:
            yield ("resources", "requests", name), f"of {name} is not the limit; give both the same, or the limit only"
        elif most is not None and least is not None and least > most:
            yield ("resources", "requests", name), f"{amount} is above the limit {limits[name]}; lower it"
    for place, claim in elements(resources, "claims"):
        if claim["name"] not in claims:
            yield ("resources", *place, "name"), f"{claim['name']!r} is none of spec.resourceClaims; add it there"


def check_pod_resources(spec: dict[str, Any]) -> Iterator[Violation]:
    """Yield what is wrong with the resources of a whole pod, beside those of its containers."""
    whole = spec.get("resources") or {}
    for field in ("limits", "requests"):
        for name in whole.get(field) or {}:
            if name not in ("cpu", "memory") and not name.startswith(_PAGES):
                yield ("resources", field, name), f"{name} is given for each container; move it there"
    for name, amount in (whole.get("limits") or {}).items():
        for place, container in elements(spec, "containers"):
            limit = ((container.get("resources") or {}).get("limits") or {}).get(name)
            if limit is not None and (quantity(limit) or 0) > (quantity(amount) or 0):
                yield (*place, "resources", "limits", name), f"{limit} is above the pod's {amount}; lower it"
    for name, amount in {**(whole.get("limits") or {}), **(whole.get("requests") or {})}.items():
        total = sum(_requested(container, name) for container in spec.get("containers") or ())
        if total > (quantity(amount) or 0):
            yield ("resources", "requests", name), f"{amount} is below what the containers request; raise it"


def _requested(container: dict[str, Any], name: str) -> Fraction:
    given = container.get("resources") or {}
    return quantity((given.get("requests") or {}).get(name, (given.get("limits") or {}).get(name, 0))) or Fraction(0)


def _is_indivisible(name: str) -> bool:
    return "/" in name or name.startswith(_PAGES)


def _amount(name: str, amount: Any) -> str | None:
    if message := _resource_name(name):
        return message
    figure = quantity(amount)
    if "/" in name and figure is not None and figure.denominator != 1:
        return f"{amount} of {name} is no whole number; cards and the like are not divided"
    if (
        name.startswith(_PAGES)
        and figure is not None
        and (not (size := quantity(name.removeprefix(_PAGES))) or figure % size)
    ):
        return f"{amount} is no multiple of the page size in {name}; give one"
    return None


def _resource_name(name: str) -> str | None:
    if "/" not in name:
        known = name in _OWN or (name.startswith(_PAGES) and quantity(name.removeprefix(_PAGES)))
        return None if known else f"{name!r} is no resource; choose cpu, memory, ephemeral-storage or vendor/name"
    # What stands before the slash is asked for in a quota as `requests.vendor/name`.
    if name.startswith("requests."):
        return f"{name!r} is reserved; use the name that the device plugin gives"
    return qualified_name(name) or qualified_name(f"requests.{name}")
