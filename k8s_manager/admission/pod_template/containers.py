"""The containers of a pod."""

from collections.abc import Iterator
from typing import Any

from k8s_manager.admission.pod_template.environment_variables import check_env
from k8s_manager.admission.pod_template.formats import dns_label, port_name, port_number
from k8s_manager.admission.pod_template.handlers import PROBES, check_lifecycle, check_probes
from k8s_manager.admission.pod_template.resource_rules import check_resources
from k8s_manager.admission.pod_template.security_context import check_container_context
from k8s_manager.admission.pod_template.violation import Violation, below, elements, wrong

_PULL = ("Always", "IfNotPresent", "Never")
_MESSAGES = ("File", "FallbackToLogsOnError")


def check_containers(spec: dict[str, Any], grace: int) -> Iterator[Violation]:
    """Yield what is wrong with the containers of a pod that has `grace` seconds to stop."""
    seen: set[str] = set()
    volumes = {volume["name"]: volume for volume in spec.get("volumes") or ()}
    claims = frozenset(claim["name"] for claim in spec.get("resourceClaims") or ())
    for field in ("initContainers", "containers"):
        for place, container in elements(spec, field):
            yield from below(place, _container(container, volumes, claims, grace))
            if container["name"] in seen:
                yield (*place, "name"), f"{container['name']!r} is another container's name; choose another"
            yield from below(place, _init(container) if field == "initContainers" else _main(container))
        seen |= {container["name"] for container in spec.get(field) or ()}
    if spec.get("ephemeralContainers"):
        yield ("ephemeralContainers",), "are not allowed in a template; remove them"


def _main(container: dict[str, Any]) -> Iterator[Violation]:
    for field in ("restartPolicy", "restartPolicyRules"):
        if container.get(field):
            yield (field,), "is for init containers only; remove it"


def _init(container: dict[str, Any]) -> Iterator[Violation]:
    policy = container.get("restartPolicy")
    if policy not in (None, "", "Always") or container.get("restartPolicyRules"):
        yield ("restartPolicy",), f"{policy!r} is not allowed; an init container has Always, or none"
    for field in (*PROBES, "lifecycle"):
        if container.get(field) is not None and policy != "Always":
            yield (field,), "is not allowed for an init container; remove it, or set its restartPolicy: Always"


def _container(
    container: dict[str, Any], volumes: dict[str, Any], claims: frozenset[str], grace: int
) -> Iterator[Violation]:
    yield from wrong(("name",), dns_label(container["name"]))
    image = container.get("image", "")
    if not image or image != image.strip():
        yield ("image",), f"{image!r} is no image; give one, without spaces around it"
    for field, allowed in (("imagePullPolicy", _PULL), ("terminationMessagePolicy", _MESSAGES)):
        if container.get(field) and container[field] not in allowed:
            yield (field,), f"{container[field]!r} is not allowed; choose one of {', '.join(allowed)}"
    yield from _ports(container)
    yield from check_env(container)
    yield from _mounts(container, volumes)
    yield from check_probes(container)
    yield from below(("lifecycle",), check_lifecycle(container.get("lifecycle") or {}, grace))
    yield from check_resources(container.get("resources") or {}, claims)
    yield from below(("securityContext",), check_container_context(container.get("securityContext") or {}))
    for place, policy in elements(container, "resizePolicy"):
        if policy["resourceName"] not in ("cpu", "memory"):
            yield (*place, "resourceName"), "is cpu or memory; change it"
        if policy["restartPolicy"] not in ("NotRequired", "RestartContainer"):
            yield (*place, "restartPolicy"), "choose one of NotRequired, RestartContainer"


def _ports(container: dict[str, Any]) -> Iterator[Violation]:
    names: set[str] = set()
    for place, port in elements(container, "ports"):
        yield from wrong((*place, "containerPort"), port_number(port["containerPort"]))
        name = port.get("name")
        if name:
            yield from wrong((*place, "name"), port_name(name))
            if name in names:
                yield (*place, "name"), f"{name!r} is another port's name; choose another"
            names.add(name)
        if port.get("hostPort"):
            yield from wrong((*place, "hostPort"), port_number(port["hostPort"]))
        if port.get("protocol") not in (None, "TCP", "UDP", "SCTP"):
            yield (*place, "protocol"), f"{port['protocol']!r} is not allowed; choose one of TCP, UDP, SCTP"


def _mounts(container: dict[str, Any], volumes: dict[str, Any]) -> Iterator[Violation]:
    for place, mount in elements(container, "volumeMounts"):
        if mount["name"] not in volumes:
            yield (*place, "name"), f"{mount['name']!r} is none of spec.volumes; add the volume there"
        if mount.get("subPath") and mount.get("subPathExpr"):
            yield (*place, "subPathExpr"), "is given beside subPath; keep one of the two"
        for field in ("subPath", "subPathExpr"):
            if mount.get(field):
                yield from _inner(mount[field], (*place, field))
        if mount.get("mountPropagation") not in (None, "None", "HostToContainer"):
            yield (*place, "mountPropagation"), f"{mount['mountPropagation']!r} is not allowed; leave it out"
        if mount.get("recursiveReadOnly") not in (None, "Disabled") and not mount.get("readOnly"):
            yield (*place, "recursiveReadOnly"), "needs readOnly: true; add that"
    paths = {mount["mountPath"] for mount in container.get("volumeMounts") or ()}
    for place, device in elements(container, "volumeDevices"):
        if "persistentVolumeClaim" not in volumes.get(device["name"], {}) and "ephemeral" not in volumes.get(
            device["name"], {}
        ):
            yield (*place, "name"), f"{device['name']!r} is no claim among spec.volumes; add it there"
        if device["devicePath"] in paths or ".." in device["devicePath"].split("/"):
            yield (*place, "devicePath"), f"{device['devicePath']!r} is mounted too, or holds '..'; choose another"


def _inner(path: str, place: tuple[str | int, ...]) -> Iterator[Violation]:
    if path.startswith("/") or ".." in path.split("/"):
        yield place, f"{path!r} is no path below the volume; leave out a leading '/' and '..'"
