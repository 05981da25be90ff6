"""What the manager may do is what it did: after all other scenarios, by the API server's own audit log.

A call that was refused counts as not done: a scenario takes each verb away for a while.
"""

import json
from collections.abc import Iterator

import pytest

from e2e.cluster.place import Place
from e2e.support.site import Site
from k8s_manager.rights import OWN_RIGHTS, RIGHTS

pytestmark = pytest.mark.own_cluster
Use = tuple[str, str, str]  # group, resource with its subresource, verb
IMPLIED = {("rbac.authorization.k8s.io", "clusterroles", "bind")}
"""Used by writing a RoleBinding; no call of its own."""


def granted() -> set[Use]:
    """Return what the shipped roles grant."""
    return {
        (right.group, resource, verb) for right in (*RIGHTS, *OWN_RIGHTS) for resource in right.resources
        for verb in right.verbs
    }  # fmt: skip


def used() -> set[Use]:
    """Return what was done."""
    return {use for line in Place().audit_log.read_text().splitlines() for use in _uses(json.loads(line))}


def _uses(event: dict) -> Iterator[Use]:
    found, code = event.get("objectRef"), event["responseStatus"]["code"]
    if found is None or "resource" not in found or code in (401, 403):
        return
    resource = "/".join(filter(None, (found["resource"], found.get("subresource"))))
    yield found.get("apiGroup", ""), resource, event["verb"]
    if event["verb"] == "patch" and code == 201:  # an apply that makes an object needs both rights
        yield found.get("apiGroup", ""), resource, "create"


async def test_nothing_was_done_that_is_not_granted(site: Site):
    done = used()
    assert ("networking.istio.io", "envoyfilters", "patch") in done
    assert done <= granted()


@pytest.mark.all_scenarios
async def test_nothing_is_granted_that_was_not_done(site: Site):
    assert granted() - IMPLIED - used() == set()
