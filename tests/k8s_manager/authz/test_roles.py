"""What each role may do, where, and for whom."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k8s_manager.authz.grants import of_documents
from k8s_manager.authz.roles import MASTERS, RIGHTS, SOURCES, Caller, Grant, Grants, Identity, Right, Role

ALICE = Identity("alice", frozenset({"search-team"}))
MATRIX = {
    Role.VIEWER: {Right.READ},
    Role.TENANT_OPERATOR: {Right.READ, Right.OPERATE},
    Role.TENANT_ADMIN: {Right.READ, Right.OPERATE, Right.EDIT, Right.CALLERS},
    Role.PLATFORM_OPERATOR: {Right.READ, Right.OPERATE, Right.OVERRIDE},
    Role.PLATFORM_ADMIN: set(Right),
}
names = st.sampled_from(["a", "b", "c"])
few = st.frozensets(names, max_size=2)
grants = st.builds(Grant, st.sampled_from(Role), few, few, few)


def caller(identity: Identity, *held: Grant) -> Caller:
    return Caller(identity, Grants(held).of(identity))


@pytest.mark.parametrize(("role", "right"), list(product(Role, Right)))
def test_a_role_has_its_rights_where_it_was_granted_and_nowhere_else(role, right):
    granted = Grant(role, users=frozenset({"alice"}), tenants=frozenset({"search"}))
    assert caller(ALICE, granted).may(right, "search") == (right in MATRIX[role])
    assert not caller(ALICE, granted).may(right, "ads")
    assert not caller(ALICE, granted).may(right)
    assert not caller(Identity("bob"), granted).may(right, "search")


@pytest.mark.parametrize("role", Role)
def test_a_grant_without_tenants_holds_in_all_and_in_the_fleet(role):
    granted = Grant(role, groups=frozenset({"search-team"}))
    assert all(caller(ALICE, granted).may(Right.READ, tenant) for tenant in ("search", "ads", None))


def test_a_name_is_no_group_and_a_group_no_name():
    of_the_name = Grant(Role.VIEWER, users=frozenset({"search-team"}))
    assert not caller(Identity("search-team"), Grant(Role.VIEWER, groups=frozenset({"search-team"}))).may(Right.READ)
    assert not caller(ALICE, of_the_name).may(Right.READ)


@given(st.lists(grants, max_size=4), names, st.frozensets(names), st.sampled_from(Right), names)
def test_more_grants_never_take_a_right_away_and_every_right_needs_one(held, user, groups, right, tenant):
    identity = Identity(user, groups)
    allowed = [caller(identity, *held[:count]).may(right, tenant) for count in range(len(held) + 1)]
    assert allowed == sorted(allowed)
    assert not allowed[0]
    assert allowed[-1] == any(
        right in RIGHTS[grant.role]
        and (user in grant.users or groups & grant.groups)
        and (not grant.tenants or tenant in grant.tenants)
        for grant in held
    )


def document(name: str = "g", **spec) -> dict:
    return {"apiVersion": "tidegate.dev/v1alpha1", "kind": "AccessGrant", "metadata": {"name": name}, "spec": spec}


def test_documents_become_grants_and_wrong_or_leaving_ones_do_not():
    right = document(role="tenantAdmin", users=["anna"], groups=["ml"], tenants=["search"])
    wrong = document(role="emperor", users=["bob"])
    leaving = document(role="viewer", users=["carl"])
    leaving["metadata"]["deletionTimestamp"] = "now"
    found = list(of_documents([right, wrong, leaving], []))
    assert found == [Grant(Role.TENANT_ADMIN, frozenset({"anna"}), frozenset({"ml"}), frozenset({"search"}))]


def test_the_owners_of_a_tenant_are_its_admins():
    tenant = {"metadata": {"name": "search"}, "spec": {"owners": ["group:ml", "user:anna", "bob", 7]}}
    assert list(of_documents([], [tenant, {"metadata": {"name": "ads"}, "spec": {}}])) == [
        Grant(Role.TENANT_ADMIN, frozenset({"anna", "bob"}), frozenset({"ml"}), frozenset({"search"}))
    ]


@pytest.mark.parametrize("source", SOURCES)
def test_a_name_with_its_source_is_of_that_source_alone(source):
    grants = Grants([Grant(Role.VIEWER, users=frozenset({f"{source}:anna"}), groups=frozenset({f"{source}:ml"}))])
    for other in SOURCES:
        assert bool(grants.of(Identity("anna", source=other))) is (other == source)
        assert bool(grants.of(Identity("carl", frozenset({"ml"}), source=other))) is (other == source)
        if other != source:
            assert not grants.of(Identity(f"{source}:anna", frozenset({f"{source}:ml"}), source=other))


def test_a_name_without_a_source_is_of_any_until_prefixes_are_asked_for():
    granted = [Grant(Role.VIEWER, users=frozenset({"anna"}), groups=frozenset({"ml"}))]
    for source in SOURCES:
        assert Grants(granted).of(Identity("anna", source=source))
        assert not Grants(granted, prefixed=True).of(Identity("anna", frozenset({"ml"}), source=source))
    assert Grants(granted, prefixed=True).of(Identity("tidegate:holder", frozenset({MASTERS}), is_person=False))
