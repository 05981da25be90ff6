"""Answers of MLflow: whatever stands there, it is read or left out with a reason."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from istio_templates.errors import Transient
from k8s_manager.release.registry.registry_answer import (
    LeftOut,
    OddRegistryAnswer,
    RegisteredVersion,
    aliases_in,
    listing_of,
    metrics_in,
    page_in,
    version_in,
)

ONE = {
    "name": "ranker",
    "version": "3",
    "source": "s3://m/3",
    "status": "READY",
    "creation_timestamp": 1_760_000_000_000,
}
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10) | st.sampled_from(["ranker", "3"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["registered_model", "name", "aliases", "alias", "version", "model_versions", "run", "info",
                             "data", "metrics", "key", "tags", "source", "status", "run_id", "next_page_token"]),
            inner,
            max_size=5,
        )
    ),
    max_leaves=15,
)  # fmt: skip


def test_a_page_says_versions_and_where_the_next_one_is():
    tags = [{"key": "tidegate.image", "value": "x:3"}, {"key": 1}, "odd"]
    page = page_in({"model_versions": [{**ONE, "run_id": "r", "tags": tags}, 7], "next_page_token": "more"}, "ranker")
    assert page.next == "more" and page.left_out == ()
    found = RegisteredVersion(3, "s3://m/3", 1_760_000_000_000, True, "r", (("tidegate.image", "x:3"),))
    assert page.versions == (found,)


@pytest.mark.parametrize(
    ("odd", "why"),
    [
        ({"version": "three"}, "is no number"),
        ({"version": "0"}, "is no number"),
        ({"version": "9" * 30}, "is no number"),
        ({"version": True}, "is no number"),
        ({"name": "other"}, "is said to be of 'other'"),
        ({"source": ""}, "says no source"),
        ({"source": ["s3://m"]}, "says no source"),
    ],
)
def test_a_version_that_is_none_or_of_another_model_is_left_out(odd, why):
    found = version_in({**ONE, **odd}, "ranker")
    assert isinstance(found, LeftOut) and why in found.why and len(found.version) < 60


@pytest.mark.parametrize(
    ("status", "ready"), [("READY", True), ("PENDING_REGISTRATION", None), ("FAILED", False), (7, False)]
)
def test_only_a_ready_version_is_ready(status, ready):
    found = version_in({**ONE, "status": status}, "ranker")
    assert isinstance(found, RegisteredVersion) and found.is_ready is ready


def test_a_number_that_is_listed_twice_counts_once():
    pages = [page_in({"model_versions": [ONE, {**ONE, "source": "s3://other"}, ONE]}, "ranker")]
    found = listing_of(pages, {"champion": 3})
    assert [one.source for one in found.versions] == ["s3://m/3"] and "twice" in found.left_out[0].why
    assert found.aliases_of(3) == ("champion",)


def test_aliases_of_another_model_are_no_answer_and_odd_ones_do_not_count():
    aliases = [
        {"alias": "champion", "version": "3"},
        {"alias": "a b", "version": "3"},
        {"alias": "x", "version": "v3"},
        1,
    ]
    assert aliases_in({"registered_model": {"name": "ranker", "aliases": aliases}}, "ranker") == {"champion": 3}
    with pytest.raises(OddRegistryAnswer, match="'other' when asked for 'ranker'"):
        aliases_in({"registered_model": {"name": "other", "aliases": aliases}}, "ranker")


def test_the_metrics_of_another_run_are_no_answer():
    run = {"info": {"run_id": "a"}, "data": {"metrics": [{"key": "h/auc", "value": 0.9, "timestamp": "1760000000000"}]}}
    (one,) = metrics_in({"run": run}, "a")
    assert (one.key, one.value, one.at) == ("h/auc", 0.9, 1_760_000_000_000)
    with pytest.raises(OddRegistryAnswer):
        metrics_in({"run": run}, "b")


@given(answer=ANYTHING)
def test_whatever_is_answered_is_read_or_refused_in_one_way(answer: Any):
    for read in (aliases_in, page_in, metrics_in):
        try:
            read(answer, "ranker")
        except Transient as error:
            assert len(str(error)) < 1000
