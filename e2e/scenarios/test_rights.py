"""What the manager may do is what it did: behind all other scenarios, by the audit logs of the API servers they used.

A call that was refused counts as not done: a scenario takes each verb away for a while.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from k8s_manager.doctor.rbac import OWN_RIGHTS, RIGHTS

pytestmark = pytest.mark.own_cluster
Use = tuple[str, str, str]  # group, resource with its subresource, verb
EVERY_ACCOUNT = {("authorization.k8s.io", "selfsubjectaccessreviews", "create")}
"""What Kubernetes grants to every account (`system:basic-user`)."""
IMPLIED = {("", "namespaces", "get"), ("rbac.authorization.k8s.io", "clusterroles", "bind")}
"""Used by writing a RoleBinding; no call of its own."""


def granted() -> set[Use]:
    """Return what the shipped roles grant."""
    return {
        (right.group, resource, verb) for right in (*RIGHTS, *OWN_RIGHTS) for resource in right.resources
        for verb in right.verbs
    }  # fmt: skip


def used() -> set[Use]:
    """Return what was done, in whichever cluster."""
    logs = [Path(name) for name in os.environ["E2E_AUDIT_LOGS"].split(os.pathsep)]
    return {use for log in logs for line in log.read_text().splitlines() for use in _uses(json.loads(line))}


def _uses(event: dict) -> Iterator[Use]:
    found, code = event.get("objectRef"), event["responseStatus"]["code"]
    if found is None or "resource" not in found or code in (401, 403):
        return
    resource = "/".join(filter(None, (found["resource"], found.get("subresource"))))
    yield found.get("apiGroup", ""), resource, event["verb"]
    if event["verb"] == "patch" and code == 201:  # an apply that makes an object needs both rights
        yield found.get("apiGroup", ""), resource, "create"


def test_nothing_was_done_that_is_not_granted():
    done = used()
    assert ("networking.istio.io", "envoyfilters", "patch") in done
    assert done <= granted() | EVERY_ACCOUNT


def test_nothing_is_granted_that_was_not_done():
    assert granted() - IMPLIED - used() == set()
