"""Who overwrites a document has seen it; long lists come in pages."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from istio_templates.errors import Invalid, Outdated
from istio_templates.facts import ObjectKey
from k8s_manager.api import pages
from k8s_manager.api.concurrency.preconditions import etag, require
from k8s_manager.api.problems import Unconditional

KEY = ObjectKey("Model", "search", "ranker")
LIVE = {"metadata": {"name": "ranker", "uid": "u", "generation": 3, "resourceVersion": "7", "labels": {"a": "b"}}}


def test_the_tag_changes_with_what_people_write_and_not_with_a_status():
    told = {**LIVE, "status": {"x": 1}, "metadata": {**LIVE["metadata"], "resourceVersion": "8"}}
    assert etag(told) == etag(LIVE)
    for change in ({"generation": 4}, {"labels": {}}, {"annotations": {"c": "d"}}, {"uid": "another"}):
        assert etag({"metadata": {**LIVE["metadata"], **change}}) != etag(LIVE)


@pytest.mark.parametrize("match", ["*", etag(LIVE), f"W/{etag(LIVE)}", f'"other", {etag(LIVE)}'])
def test_who_names_the_version_that_is_there_may_write(match):
    require(LIVE, match, KEY)


def test_who_names_none_or_another_may_not():
    with pytest.raises(Unconditional, match="send its ETag"):
        require(LIVE, None, KEY)
    with pytest.raises(Outdated, match="read it again"):
        require(LIVE, '"other"', KEY)
    with pytest.raises(Outdated, match="is not there"):
        require(None, etag(LIVE), KEY)
    require(None, None, KEY)
    require(None, "*", KEY)


names = st.lists(st.tuples(st.text("abc", min_size=1), st.sampled_from(["", "n", "m"])), unique=True)


@given(names, st.integers(1, 5), st.data())
def test_pages_hold_everything_once_and_in_order_also_where_something_goes_meanwhile(found, limit, data):
    objects = sorted(
        ({"metadata": {"name": name, **({"namespace": space} if space else {})}} for name, space in found),
        key=pages.place,
    )
    seen, after = [], None
    stays = set(map(pages.place, objects))
    while True:
        page = pages.page(objects, limit, after, lambda obj: obj)
        seen += [pages.place(obj) for obj in page["items"]]
        assert len(page["items"]) <= limit
        if "continue" not in page:
            break
        after = page["continue"]
        if objects and data.draw(st.booleans()):
            gone = objects.pop(data.draw(st.integers(0, len(objects) - 1)))
            stays.discard(pages.place(gone))
    assert seen == sorted(set(seen)) and stays <= set(seen)


def test_a_selector_asks_for_labels_and_what_is_none_is_refused():
    other = {"metadata": {"name": "other"}}
    assert pages.selected([LIVE, other], "a=b") == [LIVE] and pages.selected([LIVE, other], "a=c") == []
    assert pages.selected([LIVE, other], None) == [LIVE, other]
    with pytest.raises(Invalid, match="KEY=VALUE"):
        pages.selected([LIVE], "a")
    with pytest.raises(Invalid, match="begin again"):
        pages.page([LIVE], 5, "not a token", lambda obj: obj)
