"""Under which user and with which rights a pod and its containers run."""

import re
from collections.abc import Iterator
from typing import Any

from k8s_manager.admission.pod_template.violation import Violation, elements

_IDS = ("runAsUser", "runAsGroup", "fsGroup")
_MOST = 2**31 - 1
_PROFILES = ("Localhost", "RuntimeDefault", "Unconfined")
_SYSCTL = re.compile(r"[a-z0-9]([-_a-z0-9]*[a-z0-9])?([./][a-z0-9]([-_a-z0-9]*[a-z0-9])?)*")


def check_pod_context(context: dict[str, Any]) -> Iterator[Violation]:
    """Yield what is wrong with the securityContext of a pod."""
    yield from _common(context)
    for place, group in elements(context, "supplementalGroups"):
        if not 0 <= group <= _MOST:
            yield place, f"{group} is no group; give one from 0 to {_MOST}"
    seen: set[str] = set()
    for place, sysctl in elements(context, "sysctls"):
        name = sysctl["name"].replace("/", ".")
        if len(name) > 253 or not _SYSCTL.fullmatch(name):
            yield (*place, "name"), f"{sysctl['name']!r} is no sysctl; write one such as net.ipv4.tcp_syncookies"
        if name in seen:
            yield (*place, "name"), f"{sysctl['name']!r} stands twice; keep one"
        seen.add(name)
    for field, allowed in (
        ("fsGroupChangePolicy", ("Always", "OnRootMismatch")),
        ("supplementalGroupsPolicy", ("Merge", "Strict")),
    ):
        if context.get(field) is not None and context[field] not in allowed:
            yield (field,), f"{context[field]!r} is not allowed; choose one of {', '.join(allowed)}"


def check_container_context(context: dict[str, Any]) -> Iterator[Violation]:
    """Yield what is wrong with the securityContext of a container."""
    yield from _common(context)
    added = (context.get("capabilities") or {}).get("add") or ()
    if context.get("allowPrivilegeEscalation") is False:
        if context.get("privileged"):
            yield ("allowPrivilegeEscalation",), "is false for a privileged container; remove one of the two"
        if "CAP_SYS_ADMIN" in added:
            yield ("capabilities", "add"), "has CAP_SYS_ADMIN without allowPrivilegeEscalation; remove it"


def _common(context: dict[str, Any]) -> Iterator[Violation]:
    for field in _IDS:
        if not 0 <= context.get(field, 0) <= _MOST:
            yield (field,), f"{context[field]} is no ID; give one from 0 to {_MOST}"
    for field in ("seccompProfile", "appArmorProfile"):
        if (profile := context.get(field)) is not None:
            kind, name = profile["type"], profile.get("localhostProfile")
            if kind not in _PROFILES:
                yield (field, "type"), f"{kind!r} is not allowed; choose one of {', '.join(_PROFILES)}"
            elif (kind == "Localhost") != (name is not None) or (name is not None and not name.strip()):
                yield (field, "localhostProfile"), "goes with type Localhost, and only with it; change one of the two"
            elif name and (
                name.startswith("/") or ".." in name.split("/") or (field == "appArmorProfile" and name != name.strip())
            ):
                yield (field, "localhostProfile"), f"{name!r} is no path below the node's folder; change it"
