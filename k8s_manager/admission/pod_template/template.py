"""What the API server of Kubernetes would refuse in the pod template of a Deployment. Pure.

Checked before anything is written, since a Deployment is refused after the objects before it have been made. The rules
are those of kubernetes/pkg/apis/core/validation; `e2e/scenarios/test_near_valid.py` holds them against a real server.
"""

from collections.abc import Iterator
from typing import Any

from istio_templates.workloads.deployment import GRACE_SECONDS
from k8s_manager.admission.pod_template.containers import check_containers
from k8s_manager.admission.pod_template.field_types import check_types
from k8s_manager.admission.pod_template.formats import dns_label, dns_subdomain, ip_address, qualified_name
from k8s_manager.admission.pod_template.metadata import check_metadata
from k8s_manager.admission.pod_template.node_selection import check_scheduling
from k8s_manager.admission.pod_template.resource_rules import check_pod_resources
from k8s_manager.admission.pod_template.security_context import check_pod_context
from k8s_manager.admission.pod_template.violation import Violation, below, elements, wrong
from k8s_manager.admission.pod_template.volumes import check_volumes

_NAMES = ("serviceAccountName", "serviceAccount", "priorityClassName", "runtimeClassName", "nodeName")
_DNS = ("ClusterFirst", "ClusterFirstWithHostNet", "Default", "None")


def check_template(template: dict[str, Any]) -> Iterator[Violation]:
    """Yield what an API server would refuse in a pod template whose container `model` has all that it is given."""
    found = list(check_types(template))
    if found:
        yield from found
        return
    yield from below(("metadata",), check_metadata(template.get("metadata") or {}))
    yield from below(("spec",), _spec(template.get("spec") or {}))


def _spec(spec: dict[str, Any]) -> Iterator[Violation]:
    grace = spec.get("terminationGracePeriodSeconds", GRACE_SECONDS)
    if grace < 0:
        yield ("terminationGracePeriodSeconds",), f"{grace} is below 0; give 0 or more"
    if spec.get("restartPolicy") not in (None, "", "Always"):
        yield ("restartPolicy",), f"{spec['restartPolicy']!r} is not allowed; pods of a Deployment restart Always"
    if "activeDeadlineSeconds" in spec:
        yield ("activeDeadlineSeconds",), "is not allowed for pods of a Deployment; remove it"
    yield from check_containers(spec, grace)
    yield from check_pod_resources(spec)
    yield from check_volumes(spec)
    yield from check_scheduling(spec)
    yield from below(("securityContext",), check_pod_context(spec.get("securityContext") or {}))
    yield from _names(spec)
    yield from _dns(spec)
    if spec.get("shareProcessNamespace") and spec.get("hostPID"):
        yield ("shareProcessNamespace",), "is not allowed beside hostPID; remove one of the two"
    if spec.get("preemptionPolicy") not in (None, "PreemptLowerPriority", "Never"):
        yield ("preemptionPolicy",), "choose one of PreemptLowerPriority, Never"


def _names(spec: dict[str, Any]) -> Iterator[Violation]:
    for field in _NAMES:
        if spec.get(field):
            yield from wrong((field,), dns_subdomain(spec[field]))
    if spec.get("runtimeClassName") == "":
        yield ("runtimeClassName",), "is empty; name a class, or remove it"
    if (spec.get("os") or {"name": "linux"})["name"] != "linux":
        yield ("os", "name"), f"{spec['os']['name']!r} is not served; write linux, or remove it"
    for field in ("hostname", "subdomain"):
        if spec.get(field):
            yield from wrong((field,), dns_label(spec[field]))
    for list_name, field in (("readinessGates", "conditionType"), ("schedulingGates", "name")):
        for place, gate in elements(spec, list_name):
            yield from wrong((*place, field), qualified_name(gate[field]))
    for place, claim in elements(spec, "resourceClaims"):
        yield from wrong((*place, "name"), dns_label(claim["name"]))
        if ("resourceClaimName" in claim) == ("resourceClaimTemplateName" in claim):
            yield place, "give exactly one of resourceClaimName and resourceClaimTemplateName"
        for field in ("resourceClaimName", "resourceClaimTemplateName"):
            if field in claim:
                yield from wrong((*place, field), dns_subdomain(claim[field]))


def _dns(spec: dict[str, Any]) -> Iterator[Violation]:
    policy, config = spec.get("dnsPolicy", "ClusterFirst"), spec.get("dnsConfig") or {}
    if policy not in _DNS:
        yield ("dnsPolicy",), f"{policy!r} is not allowed; choose one of {', '.join(_DNS)}"
    servers = config.get("nameservers") or []
    if (policy == "None" and not servers) or len(servers) > 3:
        yield ("dnsConfig", "nameservers"), f"are {len(servers)}; give at most 3, and at least one with dnsPolicy None"
    for place, server in elements(config, "nameservers"):
        yield from wrong(("dnsConfig", *place), ip_address(server))
    for place, search in elements(config, "searches"):
        yield from wrong(("dnsConfig", *place), dns_subdomain(search.removesuffix(".").replace("_", "a") or "a"))
    if len(config.get("searches") or ()) > 32 or len(" ".join(config.get("searches") or ())) > 2048:
        yield ("dnsConfig", "searches"), "are more than 32, or longer than 2048 characters; shorten the list"
    for place, option in elements(config, "options"):
        if not option.get("name"):
            yield ("dnsConfig", *place, "name"), "is missing; name the option"
    for place, alias in elements(spec, "hostAliases"):
        yield from wrong((*place, "ip"), ip_address(alias["ip"]))
        for number, name in enumerate(alias.get("hostnames") or ()):
            yield from wrong((*place, "hostnames", number), dns_subdomain(name))
