"""What a tool that applies a tree has to be told, so that it leaves to the manager what is the manager's. Pure.

Argo CD: https://argo-cd.readthedocs.io/en/stable/user-guide/diffing/ and .../sync-options/
Flux: https://fluxcd.io/flux/components/kustomize/kustomizations/#controlling-the-apply-behavior-of-resources
"""

from istio_templates import names
from istio_templates.facts import Manifest
from istio_templates.yaml_text import yaml_text
from k8s_manager.gitops.address import Address
from k8s_manager.gitops.layout import HEADER, RULES, RUNTIME, Tree

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
    """Return an example for each tool that is right as it stands for a tree at this address."""
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
        "syncPolicy": {
            "automated": {"prune": prune, "selfHeal": True},
            "syncOptions": ["RespectIgnoreDifferences=true", "ServerSideApply=true"],
        },
    }
    if below:
        spec["ignoreDifferences"] = [
            {"group": "networking.istio.io", "kind": kind, "jsonPointers": ["/spec", "/metadata/annotations"]}
            for kind in ("EnvoyFilter", "VirtualService")
        ]
    return {**names.manifest("argoproj.io/v1alpha1", "Application", name, "argocd", {}), "spec": spec}


def _source(address: Address) -> Manifest:
    spec = {"interval": "1m", "url": address.url, "ref": {"branch": address.branch}}
    return {
        **names.manifest("source.toolkit.fluxcd.io/v1", "GitRepository", "tidegate", "flux-system", {}),
        "spec": spec,
    }


def _flux(address: Address, name: str, below: str, prune: bool = False) -> Manifest:
    path = _path(address, below)
    spec: Manifest = {
        "interval": "10m",
        "sourceRef": {"kind": "GitRepository", "name": "tidegate"},
        "path": "./" if path == "." else f"./{path}",
        "prune": prune,
    }
    head = names.manifest("kustomize.toolkit.fluxcd.io/v1", "Kustomization", name, "flux-system", {})
    return {**head, "spec": spec}
