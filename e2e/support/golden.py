"""The golden cases on a real cluster: the namespaces in which they have objects."""

import json
from collections.abc import Iterator
from contextlib import contextmanager

from e2e.support.site import bounded, kubectl
from tests.golden.case import CASES, rendered


def namespaces() -> list[str]:
    """Return every namespace in which a case has objects."""
    return sorted({obj["metadata"].get("namespace", "") for case in CASES for obj in rendered(case)} - {""})


@contextmanager
def in_namespaces() -> Iterator[None]:
    """Have the cases' namespaces, and take them away afterwards."""
    for name in namespaces():
        kubectl("wait", "--for=delete", f"namespace/{name}", bounded(), check=False)
        metadata = {"name": name, "labels": {"tidegate-e2e": "golden"}}
        kubectl("create", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}))
    try:
        yield
    finally:
        kubectl("delete", "namespace", "-l", "tidegate-e2e=golden", "--wait=false")
