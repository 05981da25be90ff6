"""Moving a tenant between gateways: the old one serves until the new one can, then both, then the new one."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from k8s_manager.traffic.gateway_migration import binding, due
from k8s_manager.world.tenant_gateways import Binding

LACKS = "has no ready pod yet"
NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
gateways = st.sampled_from(["a", "b", "c"])
asked = st.lists(st.tuples(gateways, st.booleans(), st.integers(0, 200)), max_size=20)


def test_a_new_tenant_is_served_where_it_asks_for():
    assert binding({}, "a", LACKS, NOW, 60) == Binding(("a",))


def test_a_move_waits_for_a_ready_pod():
    bound = binding({"gateway": "a"}, "b", LACKS, NOW, 60)
    assert bound.gateways == ("a",)
    assert bound.waits == "gateway b has no ready pod yet, so gateway a still serves this tenant; provide what b lacks"


def test_both_serve_while_clients_move_and_the_old_one_ends_in_time():
    moving = binding({"gateway": "a"}, "b", None, NOW, 60)
    assert (moving.gateways, moving.until) == (("b", "a"), "2026-11-21T12:01:00Z")
    assert binding(moving.status(), "b", None, NOW + timedelta(seconds=59), 60) == moving
    assert binding(moving.status(), "b", None, NOW + timedelta(seconds=60), 60) == Binding(("b",))
    assert due({"t": moving}, NOW + timedelta(seconds=20)) == 40
    assert due({"t": Binding(("a",))}, NOW) is None


def test_a_move_that_is_taken_back_keeps_both():
    moving = binding({"gateway": "a"}, "b", None, NOW, 60)
    assert binding(moving.status(), "a", None, NOW, 60).gateways == ("a", "b")


def test_a_status_that_cannot_be_read_is_no_move():
    status = {"gateway": "b", "moving": {"from": ["a"], "until": "soon"}}
    assert binding(status, "b", None, NOW, 60) == Binding(("b",))


@given(asked)
def test_who_served_before_serves_on_unless_its_time_is_over(steps):
    status, now, before = {"gateway": "a", "moving": None}, NOW, Binding(("a",))
    for wanted, ready, seconds in steps:
        now += timedelta(seconds=seconds)
        after = binding(status, wanted, None if ready else LACKS, now, 60)
        lasting = (
            before.gateways
            if before.until is None or datetime.fromisoformat(before.until) > now
            else before.gateways[:1]
        )
        assert set(lasting) <= set(after.gateways)
        assert len(set(after.gateways)) == len(after.gateways)
        assert after.gateways[0] == wanted or after.waits
        status, before = after.status(), after


def test_the_overlap_does_not_pass_before_the_routes_have_arrived():
    now = datetime(2026, 1, 1, 12, tzinfo=UTC)
    moving = {"gateway": "new", "moving": {"from": ["old"], "until": "2026-01-01T12:10:00Z"}}
    assert binding(moving, "new", None, now, 600, absent=("ranker",)).until == "2026-01-01T12:10:00Z"
    for minutes in (6, 10, 60):
        later = now + timedelta(minutes=minutes)
        found = binding(moving, "new", None, later, 600, absent=("ranker",))
        assert found.gateways == ("new", "old")
        assert found.until == (later + timedelta(minutes=10)).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert binding(moving, "new", None, now + timedelta(minutes=11), 600).gateways == ("new",)
    assert binding({"gateway": "new", "moving": {"from": 7}}, "new", None, now, 600, absent=("ranker",)).gateways == (
        "new",
    )
