"""Rules for tools that apply the tree, so that they leave to the manager what is the manager's. Pure.

Argo CD: https://argo-cd.readthedocs.io/en/stable/user-guide/diffing/ and .../sync-options/
Flux: https://fluxcd.io/flux/components/kustomize/kustomizations/#controlling-the-apply-behavior-of-resources
"""

from istio_templates.facts import Manifest
from istio_templates.yaml_text import yaml_text
from k8s_manager.gitops.layout import HEADER, RULES, RUNTIME, Tree
from k8s_manager.runtime.git_address import Address

ISTIO = "networking.istio.io"
ONCE = {
    "argocd.argoproj.io/sync-options": "Prune=false",
    "kustomize.toolkit.fluxcd.io/prune": "disabled",
    "kustomize.toolkit.fluxcd.io/ssa": "IfNotPresent",
}
"""On what is made once where it is missing, and then belongs to the manager."""


def once(obj: Manifest) -> Manifest:
    """Return an object that tools make where it is missing and leave alone otherwise."""
    metadata = obj["metadata"]
    return {**obj, "metadata": {**metadata, "annotations": {**metadata.get("annotations", {}), **ONCE}}}


def rules(address: Address) -> Tree:
    """Return an example for each tool, for a tree at this address.

    What is made once is not synchronised by itself: a tool that makes again what the manager has just taken away would
    open a route without its limit. It is for a cluster that is rebuilt, by hand.
    """
    argo = [_application(address, "tidegate", "", prune=True), _application(address, "tidegate-runtime", RUNTIME)]
    flux = [_flux(address, "tidegate", "", prune=True), _flux(address, "tidegate-runtime", RUNTIME)]
    return {
        f"{RULES}/argo-cd.yaml": HEADER + yaml_text(argo),
        f"{RULES}/flux.yaml": HEADER + yaml_text([_source(address), *flux]),
    }


def _path(address: Address, below: str) -> str:
    return "/".join(part for part in (address.folder, below) if part) or "."


def _application(address: Address, name: str, below: str, prune: bool = False) -> Manifest:
    spec: Manifest = {
        "project": "default",
        "source": {"repoURL": address.url, "targetRevision": address.branch, "path": _path(address, below)},
        "destination": {"server": "https://kubernetes.default.svc"},
    }
    if below:
        spec["syncPolicy"] = {"syncOptions": ["RespectIgnoreDifferences=true", "ApplyOutOfSyncOnly=true"]}
        spec["ignoreDifferences"] = [
            {"group": group, "kind": kind, "jsonPointers": ["/spec", "/metadata/annotations/tidegate.dev~1digest"]}
            for group, kind in (*((ISTIO, kind) for kind in ("EnvoyFilter", "VirtualService")), ("", "Namespace"))
        ]
    else:
        retry = {"limit": 10, "backoff": {"duration": "5s", "factor": 2, "maxDuration": "3m"}}
        automated = {"prune": prune, "selfHeal": True}
        spec["syncPolicy"] = {"automated": automated, "syncOptions": ["ServerSideApply=true"], "retry": retry}
    return _object("argoproj.io/v1alpha1", "Application", name, "argocd", spec)


def _source(address: Address) -> Manifest:
    spec: Manifest = {"interval": "1m", "url": _flux_url(address.url), "ref": {"branch": address.branch}}
    spec["secretRef"] = {"name": "tidegate-git"}
    return _object("source.toolkit.fluxcd.io/v1", "GitRepository", "tidegate", "flux-system", spec)


def _flux_url(url: str) -> str:
    """Return an address as Flux takes it: not as scp does."""
    user, colon, path = url.partition(":")
    return f"ssh://{user}/{path}" if "@" in user and colon and "/" not in user else url


def _flux(address: Address, name: str, below: str, prune: bool = False) -> Manifest:
    path = _path(address, below)
    spec: Manifest = {
        "interval": "10m",
        "sourceRef": {"kind": "GitRepository", "name": "tidegate"},
        "path": "./" if path == "." else f"./{path}",
        "prune": prune,
        "retryInterval": "1m",
    }
    if below:
        spec |= {"dependsOn": [{"name": "tidegate"}], "suspend": True}
    return _object("kustomize.toolkit.fluxcd.io/v1", "Kustomization", name, "flux-system", spec)


def _object(api_version: str, kind: str, name: str, namespace: str, spec: Manifest) -> Manifest:
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, "spec": spec}
