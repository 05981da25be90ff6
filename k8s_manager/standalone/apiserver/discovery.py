"""What the embedded API serves, in the documents by which kubectl finds it. Pure.

Formats: Kubernetes' `APIVersions`, `APIGroupList` and `APIResourceList` (meta/v1), and of OpenAPI v3 only the index and
the operations, by which kubectl sees that the server checks fields itself.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from k8s_manager.standalone.apiserver.registry import Kind

Object = dict[str, Any]
Kinds = Mapping[tuple[str, str], Kind]
VERBS = ["create", "delete", "get", "list", "patch", "update", "watch"]
MEASURED_VERBS = ["get", "list"]
SHORT = {
    "namespaces": ["ns"], "pods": ["po"], "services": ["svc"], "configmaps": ["cm"], "events": ["ev"],
    "nodes": ["no"], "persistentvolumeclaims": ["pvc"], "serviceaccounts": ["sa"], "deployments": ["deploy"],
    "statefulsets": ["sts"], "poddisruptionbudgets": ["pdb"], "horizontalpodautoscalers": ["hpa"],
    "networkpolicies": ["netpol"], "customresourcedefinitions": ["crd", "crds"], "virtualservices": ["vs"],
    "destinationrules": ["dr"], "authorizationpolicies": ["ap"],
}  # fmt: skip


def discovered(path: str, kinds: Kinds, crds: Callable[[], Iterable[Object]]) -> Object | None:
    """Return the discovery document at a path; None where there is none. Every read comes by here: `crds` are asked for
    only where they are shown."""
    parts = path.strip("/").split("/")
    match parts:
        case ["api"]:
            return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}
        case ["apis"]:
            groups = sorted({version.partition("/")[0] for version, _ in kinds if "/" in version})
            return {"kind": "APIGroupList", "apiVersion": "v1", "groups": [_group(name, kinds) for name in groups]}
        case ["apis", group]:
            return {"kind": "APIGroup", "apiVersion": "v1", **found} if (found := _group(group, kinds)) else None
        case ["api", "v1"] | ["apis", _, _]:
            return _resources("/".join(parts[1:]), kinds, crds())
        case ["openapi", "v3"]:
            versions = sorted({version for version, _ in kinds})
            return {"paths": {_root(v): {"serverRelativeURL": f"/openapi/v3/{_root(v)}"} for v in versions}}
        case ["openapi", "v3", "api" | "apis", *rest]:
            return _operations("/".join(rest), kinds)
    return None


def _root(version: str) -> str:
    return f"apis/{version}" if "/" in version else f"api/{version}"


def _group(name: str, kinds: Kinds) -> Object:
    found = sorted({version for version, _ in kinds if version.partition("/")[0] == name and "/" in version})
    versions = [{"groupVersion": version, "version": version.partition("/")[2]} for version in found]
    return {"name": name, "versions": versions, "preferredVersion": versions[0]} if versions else {}


def _resources(version: str, kinds: Kinds, crds: Iterable[Object]) -> Object | None:
    named = {(crd["spec"]["group"], crd["spec"]["names"]["plural"]): crd["spec"]["names"] for crd in crds}
    resources = []
    for (of, plural), kind in sorted(kinds.items()):
        if of != version:
            continue
        names = named.get((version.partition("/")[0], plural), {})
        one = {"name": plural, "namespaced": kind.namespaced, "kind": kind.kind}
        short = [] if kind.is_measured else names.get("shortNames") or SHORT.get(plural, [])
        verbs_of_all = MEASURED_VERBS if kind.is_measured else VERBS
        single = {
            "singularName": names.get("singular") or kind.kind.lower(),
            "verbs": verbs_of_all,
            "shortNames": short,
        }
        resources.append({**one, **single, "categories": names.get("categories", [])})
        subs = ["status"] * kind.has_status + ["log"] * (kind.kind == "Pod")
        verbs = {"status": ["get", "patch", "update"], "log": ["get"]}
        resources += [{**one, "name": f"{plural}/{sub}", "singularName": "", "verbs": verbs[sub]} for sub in subs]
    if not resources:
        return None
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": version, "resources": resources}


def _operations(version: str, kinds: Kinds) -> Object:
    parameters = [
        {"name": name, "in": "query", "schema": {"type": "string"}}
        for name in ("dryRun", "fieldManager", "fieldValidation", "force")
    ]
    group, _, short = version.rpartition("/")
    paths = {}
    for (of, plural), kind in sorted(kinds.items()):
        if of == version and not kind.is_measured:
            inside = "/namespaces/{namespace}" if kind.namespaced else ""
            gvk = {"group": group, "version": short, "kind": kind.kind}
            patch = {"parameters": parameters, "x-kubernetes-group-version-kind": gvk, "responses": {}}
            paths[f"/{_root(version)}{inside}/{plural}/{{name}}"] = {"patch": patch}
    info = {"title": "Tidegate standalone", "version": "v1"}
    return {"openapi": "3.0.0", "info": info, "paths": paths, "components": {"schemas": {}}}
