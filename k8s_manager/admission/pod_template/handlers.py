"""Probes and lifecycle hooks of a container."""

from collections.abc import Iterator
from typing import Any

from istio_templates.documents.model import MODEL_CONTAINER
from k8s_manager.admission.pod_template.formats import header_name, port_name, port_number
from k8s_manager.admission.pod_template.violation import Violation, below, elements, wrong

PROBES = ("livenessProbe", "readinessProbe", "startupProbe")
_NUMBERS = ("initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold")
_OF_PROBE, _OF_HOOK = ("exec", "httpGet", "tcpSocket", "grpc"), ("exec", "httpGet", "tcpSocket", "sleep")


def check_probes(container: dict[str, Any]) -> Iterator[Violation]:
    """Yield what is wrong with the probes of a container."""
    for name in PROBES:
        if container.get(name) is not None and not _is_filled_in(name, container):
            yield from below((name,), _probe(name, container[name]))


def _is_filled_in(name: str, container: dict[str, Any]) -> bool:
    """Tell whether an empty probe counts as none: that of the model's container is then replaced by the manager's."""
    return name == "readinessProbe" and container["name"] == MODEL_CONTAINER and not container[name]


def check_lifecycle(lifecycle: dict[str, Any], grace: int) -> Iterator[Violation]:
    """Yield what is wrong with the hooks of a container that has `grace` seconds to stop."""
    for name in ("postStart", "preStop"):
        if name in lifecycle:
            yield from below((name,), _handler(lifecycle[name], _OF_HOOK))
            sleep = (lifecycle[name].get("sleep") or {}).get("seconds", 0)
            if not 0 <= sleep <= grace:
                message = f"{sleep} is not within terminationGracePeriodSeconds ({grace}); shorten it, or raise that"
                yield (name, "sleep", "seconds"), message


def _probe(name: str, probe: dict[str, Any]) -> Iterator[Violation]:
    yield from _handler(probe, _OF_PROBE)
    for field in _NUMBERS:
        if probe.get(field, 0) < 0:
            yield (field,), f"{probe[field]} is below 0; give 0 or more"
    if name != "readinessProbe" and probe.get("successThreshold", 0) not in (0, 1):
        yield ("successThreshold",), f"is 1 for a {name}; remove it"
    grace = probe.get("terminationGracePeriodSeconds")
    if grace is not None and name == "readinessProbe":
        yield ("terminationGracePeriodSeconds",), "is not allowed for a readinessProbe; remove it"
    elif grace is not None and grace < 1:
        yield ("terminationGracePeriodSeconds",), f"{grace} is below 1; give 1 or more"


def _handler(given: dict[str, Any], allowed: tuple[str, ...]) -> Iterator[Violation]:
    found = [name for name in allowed if name in given]
    if len(found) != 1:
        yield (), f"has {' and '.join(found) or 'no action'}; give exactly one of {', '.join(allowed)}"
    if "exec" in given and not given["exec"].get("command"):
        yield ("exec", "command"), "is empty; give a command"
    for name in ("httpGet", "tcpSocket"):
        if name in given:
            yield from below((name, "port"), _port(given[name]["port"]))
    for place, header in elements(given.get("httpGet") or {}, "httpHeaders"):
        yield from wrong(("httpGet", *place, "name"), header_name(header["name"]))
    if "grpc" in given:
        yield from wrong(("grpc", "port"), port_number(given["grpc"]["port"]))


def _port(port: int | str) -> Iterator[Violation]:
    return wrong((), port_name(port) if isinstance(port, str) else port_number(port))
