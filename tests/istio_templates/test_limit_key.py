"""The key of a limit: a route, or a part of its requests."""

from hypothesis import given
from hypothesis import strategies as st

from istio_templates.facts import LimitKey, ObjectKey
from istio_templates.names import HTTP_ROUTE, identity, route_identity

names = st.from_regex(r"[a-z]([a-z0-9-]{0,8}[a-z0-9])?", fullmatch=True)
keys = st.builds(LimitKey, names, st.sampled_from(["", "requests", "outbound|80|v1|a.b"]))


@given(namespace=names, name=names)
def test_a_key_knows_its_virtual_service(namespace, name):
    key = identity(namespace, name)
    assert key.place == key.of_part("requests").whole.place == (namespace, name)


@given(namespace=names, name=st.from_regex(r"[a-z]([a-z0-9.-]{0,8}[a-z0-9])?", fullmatch=True))
def test_a_key_knows_its_http_route_and_is_no_virtual_services(namespace, name):
    key = route_identity(ObjectKey("HTTPRoute", namespace, name))
    assert key.place == key.of_part("requests").whole.place == (namespace, name)
    assert HTTP_ROUTE.fullmatch(key.route).groups() == (namespace, name)
    assert key != identity(namespace, name) and not HTTP_ROUTE.fullmatch(identity(namespace, name).route)


@given(keys=st.lists(keys))
def test_keys_sort_as_their_texts_do(keys):
    assert [str(key) for key in sorted(keys)] == sorted(map(str, keys))


@given(route=st.text(max_size=20))
def test_a_route_that_an_edit_has_spoilt_has_a_place_all_the_same(route):
    assert len(LimitKey(route).place) == 2
