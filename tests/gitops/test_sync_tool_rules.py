"""What tools are told that apply a tree."""

import pytest
import yaml

from istio_templates.facts import Manifest
from k8s_manager.gitops.layout import HEADER
from k8s_manager.gitops.sync_tool_rules import once, rules
from k8s_manager.runtime.git_address import Address


def told(address: Address, tool: str) -> dict[str, Manifest]:
    """Return the specs of a tool's objects, by kind and name."""
    text = rules(address)[f"rules/{tool}.yaml"]
    assert text.startswith(HEADER)
    found = [obj for obj in yaml.safe_load_all(text) if obj]
    return {f"{obj['kind']} {obj['metadata']['name']}": obj["spec"] for obj in found}


@pytest.mark.parametrize(
    ("folder", "paths"),
    [("", (".", "runtime", "./", "./runtime")), ("eu/a", ("eu/a", "eu/a/runtime", "./eu/a", "./eu/a/runtime"))],
)
def test_the_tree_is_synchronised_and_what_the_manager_writes_is_not(folder: str, paths: tuple[str, ...]):
    address = Address("https://git.example.com/a.git", "live", folder)
    argo, flux = told(address, "argo-cd"), told(address, "flux")
    tree, runtime = argo["Application tidegate"], argo["Application tidegate-runtime"]
    assert (tree["source"]["path"], runtime["source"]["path"]) == paths[:2]
    assert tree["syncPolicy"]["automated"] == {"prune": True, "selfHeal": True} and "ignoreDifferences" not in tree
    assert "automated" not in runtime["syncPolicy"]
    ignored = {rule["kind"] for rule in runtime["ignoreDifferences"] if "/spec" in rule["jsonPointers"]}
    assert ignored == {"EnvoyFilter", "VirtualService", "Namespace"}
    tree, runtime = flux["Kustomization tidegate"], flux["Kustomization tidegate-runtime"]
    assert (tree["path"], runtime["path"]) == paths[2:]
    assert (tree["prune"], runtime["prune"], runtime["suspend"]) == (True, False, True)
    assert flux["GitRepository tidegate"]["ref"] == {"branch": "live"}


def test_flux_is_told_an_address_as_it_takes_one():
    def url(address: str) -> str:
        return str(told(Address(address), "flux")["GitRepository tidegate"]["url"])

    assert url("git@git.example.com:ml/a.git") == "ssh://git@git.example.com/ml/a.git"
    assert url("ssh://git@git.example.com:22/a.git") == "ssh://git@git.example.com:22/a.git"
    assert url("https://git.example.com/a.git") == "https://git.example.com/a.git"


def test_what_is_made_once_says_so_and_stays_what_it_was():
    obj = {"kind": "VirtualService", "metadata": {"name": "a", "annotations": {"b": "c"}}, "spec": {}}
    made = once(obj)
    assert made["metadata"]["annotations"]["kustomize.toolkit.fluxcd.io/ssa"] == "IfNotPresent"
    assert made["metadata"]["annotations"]["b"] == "c" and obj["metadata"]["annotations"] == {"b": "c"}
