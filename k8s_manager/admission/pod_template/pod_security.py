"""Rules for the pods of tenants: no way out of the container, no other identity, no other nodes. Pure.

The first part is the level `baseline` of Kubernetes' Pod Security Standards. It is checked here too because a namespace
need not carry that label, and because an author needs the name of the field and not pods that never start.
"""

from collections.abc import Iterator
from typing import Any

from istio_templates.documents.tenant import PodRules
from k8s_manager.kube.shapes import mapping_of, mappings_of

Violation = tuple[str, str]  # a path inside podTemplate, and what is wrong there
CAPABILITIES = frozenset(
    ("AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE", "SETFCAP",
     "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT")
)  # fmt: skip
SYSCTLS = frozenset(
    ("kernel.shm_rmid_forced", "net.ipv4.ip_local_port_range", "net.ipv4.ip_unprivileged_port_start",
     "net.ipv4.tcp_syncookies", "net.ipv4.ping_group_range", "net.ipv4.ip_local_reserved_ports",
     "net.ipv4.tcp_keepalive_time", "net.ipv4.tcp_fin_timeout", "net.ipv4.tcp_keepalive_intvl",
     "net.ipv4.tcp_keepalive_probes")
)  # fmt: skip
INJECTED = ("sidecar.istio.io/", "inject.istio.io/", "proxy.istio.io/", "istio.io/rev")
APPARMOR = "container.apparmor.security.beta.kubernetes.io/"
_SELINUX_TYPES = (None, "", "container_t", "container_init_t", "container_kvm_t", "container_engine_t")
_PROBES = ("livenessProbe", "readinessProbe", "startupProbe")


def violations(template: dict[str, Any], rules: PodRules) -> Iterator[Violation]:
    """Yield the fields of a pod template that its tenant may not set."""
    spec = mapping_of(template.get("spec"))
    yield from _metadata(mapping_of(template.get("metadata")))
    for field in ("hostNetwork", "hostPID", "hostIPC"):
        if spec.get(field):
            yield f"spec.{field}", f"{field} is not allowed for pods of tenants; remove it"
    if spec.get("nodeName"):
        yield "spec.nodeName", "nodeName is not allowed for pods of tenants; remove it, or use nodeSelector"
    if str(spec.get("priorityClassName", "")).startswith("system-"):
        yield "spec.priorityClassName", "system- priority classes are reserved for the cluster; choose another class"
    yield from _identity(spec, rules)
    yield from _nodes(spec, rules)
    yield from _security("spec.securityContext", mapping_of(spec.get("securityContext")))
    for number, volume in enumerate(mappings_of(spec.get("volumes"))):
        if "hostPath" in volume:
            yield (
                f"spec.volumes[{number}].hostPath",
                "hostPath is not allowed for pods of tenants; use another type of volume",
            )
    for field in ("initContainers", "containers", "ephemeralContainers"):
        for number, container in enumerate(mappings_of(spec.get(field))):
            yield from _container(f"spec.{field}[{number}]", container)


def _metadata(metadata: dict[str, Any]) -> Iterator[Violation]:
    """Yield labels and annotations that change the pod: Istio's injector takes images and volumes from annotations."""
    for field in ("labels", "annotations"):
        for name, value in mapping_of(metadata.get(field)).items():
            path, is_off = f"metadata.{field}.{name}", name == "sidecar.istio.io/inject" and value == "false"
            if str(name).startswith(INJECTED) and not is_off:
                yield path, "sidecar injection is not allowed for pods of tenants; remove it"
            if (
                str(name).startswith(APPARMOR)
                and value != "runtime/default"
                and not str(value).startswith("localhost/")
            ):
                yield path, f"AppArmor profile {value} is not allowed; use runtime/default or localhost/<profile>"


def _identity(spec: dict[str, Any], rules: PodRules) -> Iterator[Violation]:
    allowed = ("default", *rules.service_accounts)
    for field in ("serviceAccountName", "serviceAccount"):
        if (name := spec.get(field)) and name not in allowed:
            listed = ", ".join(allowed)
            yield f"spec.{field}", f"service account {name!r} is not allowed for this tenant; choose one of: {listed}"


def _nodes(spec: dict[str, Any], rules: PodRules) -> Iterator[Violation]:
    if rules.node_pools is None:
        return
    wanted = mapping_of(spec.get("nodeSelector"))
    if not any(pool.items() <= wanted.items() for pool in rules.node_pools):
        pools = " or ".join(", ".join(f"{k}={v}" for k, v in sorted(pool.items())) for pool in rules.node_pools)
        message = (
            f"the nodes are not in a node pool of this tenant; select {pools}"
            if pools
            else "this tenant has no node pool; ask an operator to add one to the Tenant"
        )
        yield "spec.nodeSelector", message


def _container(path: str, container: dict[str, Any]) -> Iterator[Violation]:
    context = mapping_of(container.get("securityContext"))
    yield from _security(f"{path}.securityContext", context)
    if context.get("privileged"):
        yield f"{path}.securityContext.privileged", "privileged containers are not allowed for tenants; remove it"
    if context.get("procMount") not in (None, "Default"):
        yield f"{path}.securityContext.procMount", "only procMount Default is allowed for pods of tenants; remove it"
    added = mapping_of(context.get("capabilities")).get("add") or []
    for name in added if isinstance(added, list) else [added]:
        if str(name) not in CAPABILITIES:
            yield (
                f"{path}.securityContext.capabilities.add",
                f"capability {name!r} is not allowed for pods of tenants; remove it",
            )
    for number, port in enumerate(mappings_of(container.get("ports"))):
        if port.get("hostPort"):
            yield f"{path}.ports[{number}].hostPort", "hostPort is not allowed for pods of tenants; remove it"
    for where, handler in _handlers(container):
        if mapping_of(handler.get("httpGet")).get("host") or mapping_of(handler.get("tcpSocket")).get("host"):
            yield (
                f"{path}.{where}",
                "a handler that calls another host is not allowed; remove host to call the pod itself",
            )


def _handlers(container: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for probe in _PROBES:
        yield probe, mapping_of(container.get(probe))
    for hook, handler in mapping_of(container.get("lifecycle")).items():
        yield f"lifecycle.{hook}", mapping_of(handler)


def _security(path: str, context: dict[str, Any]) -> Iterator[Violation]:
    for field in ("seccompProfile", "appArmorProfile"):
        if mapping_of(context.get(field)).get("type") == "Unconfined":
            yield f"{path}.{field}", f"{field} Unconfined is not allowed for pods of tenants; remove it"
    selinux = mapping_of(context.get("seLinuxOptions"))
    if selinux.get("type") not in _SELINUX_TYPES or selinux.get("user") or selinux.get("role"):
        yield f"{path}.seLinuxOptions", "only SELinux types of containers are allowed for pods of tenants; remove it"
    if mapping_of(context.get("windowsOptions")).get("hostProcess"):
        yield f"{path}.windowsOptions.hostProcess", "hostProcess is not allowed for pods of tenants; remove it"
    for number, sysctl in enumerate(mappings_of(context.get("sysctls"))):
        if str(sysctl.get("name")) not in SYSCTLS:
            yield (
                f"{path}.sysctls[{number}]",
                f"sysctl {sysctl.get('name')!r} is not allowed for pods of tenants; remove it",
            )
