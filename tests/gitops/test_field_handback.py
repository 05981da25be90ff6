"""What the manager gives up to whoever applies the tree."""

import pytest

from istio_templates.facts import Manifest
from k8s_manager.gitops.field_handback import is_yielded

OURS = {"f:metadata": {"f:labels": {"f:a": {}}}, "f:spec": {"f:replicas": {}, 'k:{"name":"a"}': {".": {}, "f:x": {}}}}
MORE = {**OURS, "f:data": {}}
LESS = {"f:metadata": OURS["f:metadata"], "f:spec": {"f:replicas": {}}}


def entry(manager: str, fields: Manifest, operation: str = "Apply", **more: str) -> Manifest:
    return {"manager": manager, "operation": operation, "fieldsV1": fields, **more}


@pytest.mark.parametrize(
    ("entries", "yields"),
    [
        ([entry("tidegate", OURS), entry("argocd", OURS)], True),
        ([entry("tidegate", OURS), entry("flux", MORE), entry("b", LESS)], True),
        ([entry("tidegate", OURS), entry("flux", LESS)], False),
        ([entry("tidegate", OURS), entry("kubectl", MORE, "Update")], False),
        ([entry("tidegate", OURS), entry("flux", MORE, subresource="status")], False),
        ([entry("tidegate", OURS)], False),
        ([entry("flux", OURS)], False),
        ([], False),
    ],
)
def test_only_what_another_owns_wholly_is_given_up(entries: list[Manifest], yields: bool):
    assert is_yielded({"kind": "Deployment", "metadata": {"managedFields": entries}}) is yields
    assert not is_yielded({"kind": "VirtualService", "metadata": {"managedFields": entries}})
