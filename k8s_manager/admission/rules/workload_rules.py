"""Rules for a version's pods: what Kubernetes itself would reject in them, reported on the document's own fields.
Pure."""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import orjson

from istio_templates.documents.model import MODEL_CONTAINER, Workload
from istio_templates.facts import Manifest
from istio_templates.text.json_values import path_of
from istio_templates.workloads import agent
from istio_templates.workloads.short_fields import merged
from k8s_manager.admission.pod_template.template import check_template
from k8s_manager.admission.pod_template.violation import Place, Violation
from k8s_manager.admission.rules.rejection import Rejection, invalid

_CONTAINERS = ("spec", "containers")


def check_workload(path: str, workload: Workload, with_agent: bool) -> Iterator[Rejection]:
    """Yield what an API server would refuse in the pods of a workload that stands at a path of its document."""
    for place, message in _violations(orjson.dumps([workload.pod_template, workload.short_fields()])):
        yield invalid(f"{path}.{path_of(list(place))}", message)
    for place, message in _reserved(workload.pod_template) if with_agent else ():
        yield invalid(f"{path}.podTemplate.{path_of(list(place))}", message)


@lru_cache(4096)
def _violations(text: bytes) -> tuple[Violation, ...]:
    """Return the violations in a podTemplate and short fields, which most models share with others or keep."""
    template, short = orjson.loads(text)
    containers = template.get("spec", {}).get("containers", [])
    number = next((n for n, container in enumerate(containers) if container["name"] == MODEL_CONTAINER), None)
    given = {"name": MODEL_CONTAINER} if number is None else containers[number]
    whole = merged(given, short)
    listed = [whole, *containers] if number is None else [*containers[:number], whole, *containers[number + 1 :]]
    found = check_template({**template, "spec": {**template.get("spec", {}), "containers": listed}})
    return tuple((_origin(place, number, given, short), message) for place, message in found)


def _origin(place: Place, number: int | None, given: Manifest, short: Manifest) -> Place:
    """Return where in a workload something stands that the merged template has at `place`; `number` is that of the
    container `model` in the podTemplate."""
    if place[:2] != _CONTAINERS or len(place) < 3 or not isinstance(place[2], int):
        return ("podTemplate", *place)
    if place[2] != (number or 0):
        return ("podTemplate", *_CONTAINERS, place[2] - 1 if number is None else place[2], *place[3:])
    return _short(place[3:], given, short) or ("podTemplate", *_CONTAINERS, number or 0, *_env(place[3:], given, short))


def _short(place: Place, given: Manifest, short: Manifest) -> Place:
    """Return the place in the short fields; empty where the container says it."""
    if not place or not short.get(str(place[0])):
        return ()
    if place[0] == "env":
        before = len(_kept(given, short))
        if len(place) > 1 and isinstance(place[1], int):
            return ("env", place[1] - before, *place[2:]) if place[1] >= before else ()
    if place[0] == "resources" and len(place) > 2:
        return place if place[2] in (short["resources"].get(place[1]) or ()) else ()
    return place


def _env(place: Place, given: Manifest, short: Manifest) -> Place:
    """Return the place in the container of the podTemplate, whose variables the short fields may replace."""
    if len(place) < 2 or place[0] != "env" or not short.get("env") or not isinstance(place[1], int):
        return place
    return ("env", _kept(given, short)[place[1]], *place[2:])


def _kept(given: Manifest, short: Manifest) -> list[int]:
    """Return the numbers of the container's variables that the short fields do not name."""
    names = {str(item.get("name")) for item in short["env"] if isinstance(item, dict)}
    there: Any = given.get("env") if isinstance(given.get("env"), list) else []
    return [n for n, item in enumerate(there) if isinstance(item, dict) and str(item.get("name")) not in names]


def _reserved(template: Manifest) -> Iterator[Violation]:
    """Yield the names that the warm-up agent's container and volumes have beside the tenant's."""
    spec = template.get("spec", {})
    for field in ("initContainers", "containers", "volumes"):
        for number, item in enumerate(spec.get(field) or ()):
            if str(item.get("name")).startswith(agent.NAME):
                place = ("spec", field, number, "name")
                yield place, f"{item['name']!r} is the warm-up agent's; choose another name"
