"""From what MLflow lists to ModelVersions: what is made, what stays, and what is left out with a reason."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from istio_templates.documents import parse
from k8s_manager.release.registry.registry_answer import RegistryListing, RunMetric
from k8s_manager.release.registry.version_content import evaluations_of
from k8s_manager.release.registry.version_documents import MOST_AT_ONCE, RegistryTarget, new_document, round_of
from tests.support.registered_models import CREATED, DAY, registered

TARGET = RegistryTarget("search", "ranker", "fleet-ranker", "champion")


def listing(*versions, **aliases):
    return RegistryListing(tuple(sorted(versions, key=lambda one: one.number)), aliases)


def made(found, seen, evaluations=()):
    return [new_document(TARGET, one, seen, evaluations) for one in found.new]


def test_a_new_version_becomes_a_document_that_says_where_it_is_from():
    seen = listing(registered(3, tags=(("tidegate.image", "example.com/ranker:3"),)), champion=3)
    (document,) = made(round_of(TARGET, seen, [], 0), seen)
    assert document["metadata"] == {"name": "ranker-v3", "namespace": "search"}
    assert document["spec"] == {
        "model": "ranker",
        "uri": "s3://models/ranker/3",
        "image": "example.com/ranker:3",
        "dataUntil": "2025-10-12T08:53:20Z",
        "aliases": ["champion"],
        "registry": {"name": "fleet-ranker", "version": "3"},
    }
    assert parse(document).spec.aliases == ("champion",)


def test_a_tag_says_until_when_the_data_reaches_and_is_followed_when_it_comes_later():
    seen = listing(registered(1))
    (document,) = made(round_of(TARGET, seen, [], 0), seen)
    tagged = listing(registered(1, tags=(("tidegate.dataUntil", "2025-09-01T00:00:00Z"), ("tidegate.image", "x:1"))))
    found = round_of(TARGET, tagged, [document], 1)
    ((_, after),) = found.changed
    assert (after["spec"]["dataUntil"], after["spec"]["image"]) == ("2025-09-01T00:00:00Z", "x:1")
    assert found.left_out == () and round_of(TARGET, tagged, [after], 1).changed == ()


def test_an_alias_moves_and_is_taken_from_the_one_before_it_is_given_to_the_other():
    before = listing(registered(1), registered(2), champion=1)
    one, two = made(round_of(TARGET, before, [], 0), before)
    after = listing(registered(1), registered(2), champion=2)
    found = round_of(TARGET, after, [two, one], 2)
    assert [(new["metadata"]["name"], new["spec"].get("aliases")) for _, new in found.changed] == [
        ("ranker-v1", None),
        ("ranker-v2", ["champion"]),
    ]


def test_what_people_have_said_of_a_version_stays():
    seen = listing(registered(1))
    (document,) = made(round_of(TARGET, seen, [], 0), seen)
    document["spec"] |= {"blocked": {"reason": "empty answers"}, "cost": 2.0}
    ((_, after),) = round_of(TARGET, listing(registered(1), champion=1), [document], 1).changed
    assert after["spec"] == {**document["spec"], "aliases": ["champion"]}


def test_a_document_of_others_wins_and_that_is_said():
    mine = {"metadata": {"name": "ranker-v1", "namespace": "search"}, "spec": {"model": "ranker", "image": "x:1"}}
    found = round_of(TARGET, listing(registered(1), champion=1), [mine], 0)
    assert found.new == () and found.changed == ()
    assert [(one.version, one.why) for one in found.left_out] == [
        ("v1", "is registered here by others; that one counts")
    ]


def test_a_version_that_says_another_source_than_before_keeps_the_one_that_was_read():
    seen = listing(registered(1))
    (document,) = made(round_of(TARGET, seen, [], 0), seen)
    found = round_of(TARGET, listing(registered(1, "s3://elsewhere/1")), [document], 1)
    assert found.changed == () and found.new == ()
    assert "'s3://elsewhere/1'" in found.left_out[0].why and "register a new version" in found.left_out[0].why


def test_one_that_was_deleted_here_is_not_made_again_unless_an_alias_points_at_it():
    seen = listing(registered(1), registered(2), registered(3))
    found = round_of(TARGET, seen, [], 2)
    assert [one.number for one in found.new] == [3] and found.deleted == 2 and found.mark == 3
    found = round_of(TARGET, listing(registered(1), registered(2), champion=1), [], 2)
    assert [one.number for one in found.new] == [1] and found.deleted == 1


def test_a_mark_above_everything_that_there_is_does_not_silence_what_comes():
    found = round_of(TARGET, listing(registered(4), registered(5)), [], 10**8)
    assert found.mark == 5
    assert [one.number for one in round_of(TARGET, listing(registered(5), registered(6)), [], found.mark).new] == [6]


def test_many_versions_come_in_rounds_the_aliased_one_first_and_each_once():
    everything = [registered(number) for number in range(1, 3 * MOST_AT_ONCE)]
    seen = listing(*everything, champion=50)
    live: list[dict[str, Any]] = []
    mark, rounds = 0, 0
    while True:
        found = round_of(TARGET, seen, live, mark)
        assert rounds or 50 in [one.number for one in found.new]
        live += made(found, seen)
        mark, rounds = found.mark, rounds + 1
        if not found.is_more:
            break
    assert sorted(int(one["spec"]["registry"]["version"]) for one in live) == [one.number for one in everything]
    assert rounds == 3 and mark == len(everything)


def test_one_that_is_still_being_made_is_waited_for_and_a_failed_one_is_not_taken():
    seen = listing(registered(1), registered(2, is_ready=None), registered(3), registered(4, is_ready=False))
    found = round_of(TARGET, seen, [], 0)
    assert [one.number for one in found.new] == [1, 3] and found.mark == 1
    assert [one.version for one in found.left_out] == ["v4"]
    later = round_of(TARGET, listing(registered(1), registered(2), registered(3)), made(found, seen), found.mark)
    assert [one.number for one in later.new] == [2]


def test_documents_of_the_name_before_lose_their_aliases():
    seen = listing(registered(1), champion=1)
    (document,) = made(round_of(TARGET, seen, [], 0), seen)
    other = RegistryTarget("search", "ranker", "another")
    ((_, after),) = round_of(other, RegistryListing((), {"champion": 1}), [document], 0).changed
    assert "aliases" not in after["spec"] and after["spec"]["registry"]["name"] == "fleet-ranker"


@pytest.mark.parametrize(
    "source",
    [
        "/srv/models/1",
        "file:///srv/1",
        "javascript:alert(1)",
        "s3",
        "s3://a b",
        "S3://x",
        "s3://" + "x" * 2050,
        "s3:// x",
    ],
)
def test_a_source_that_pods_do_not_reach_or_that_is_none_is_left_out(source):
    found = round_of(TARGET, listing(registered(1, source), registered(2)), [], 0)
    assert [one.number for one in found.new] == [2]
    assert found.left_out[0].version == "v1" and "source" in found.left_out[0].why and len(found.left_out[0].why) < 400


@pytest.mark.parametrize("tag", ["tidegate.image", "tidegate.digest", "tidegate.dataUntil"])
def test_a_tag_that_says_nothing_right_does_not_count(tag):
    seen = listing(registered(1, tags=((tag, "no\nthing " * 200),)))
    found = round_of(TARGET, seen, [], 0)
    (document,) = made(found, seen)
    assert set(document["spec"]) == {"model", "uri", "dataUntil", "registry"} and tag in found.left_out[0].why


def test_metrics_with_a_data_set_are_evaluations():
    metrics = (
        RunMetric("holdout/auc", 0.91, CREATED),
        RunMetric("holdout/samples", 5000.0, CREATED),
        RunMetric("loss", 0.2, CREATED),
        RunMetric("f1", 0.8, CREATED + DAY, "holdout-2"),
    )
    found, flaws = evaluations_of(metrics)
    assert flaws == [] and found == [
        {"dataset": "holdout", "metric": "auc", "value": 0.91, "samples": 5000, "at": "2025-10-09T08:53:20Z"},
        {"dataset": "holdout-2", "metric": "f1", "value": 0.8, "samples": 1, "at": "2025-10-10T08:53:20Z"},
    ]


@pytest.mark.parametrize(
    "metric",
    [
        RunMetric("holdout/auc", float("nan"), CREATED),
        RunMetric("holdout/auc", "NaN", CREATED),
        RunMetric("holdout/auc", float("inf"), CREATED),
        RunMetric("holdout/auc", None, CREATED),
        RunMetric("holdout/auc", 0.9, -1),
        RunMetric("holdout/auc", 0.9, None),
        RunMetric("holdout/" + "x" * 300, 0.9, CREATED),
        RunMetric("hold\nout/auc", 0.9, CREATED),
    ],
)
def test_a_metric_that_is_no_figure_is_left_out_and_the_others_count(metric):
    found, flaws = evaluations_of((metric, RunMetric("holdout/f1", 0.8, CREATED)))
    assert [one["metric"] for one in found] == ["f1"] and len(flaws) == 1 and len(flaws[0]) < 400


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
SOURCES = st.text(max_size=30) | st.builds(
    "{}://{}".format, st.sampled_from(["s3", "file", "gs"]), st.text(max_size=20)
)
VERSIONS = st.builds(
    registered,
    st.integers(1, 40),
    SOURCES,
    created=st.none() | st.integers(),
    is_ready=st.sampled_from([True, True, None, False]),
    tags=st.lists(
        st.tuples(
            st.sampled_from(["tidegate.image", "tidegate.digest", "tidegate.dataUntil", "a"]), st.text(max_size=9)
        ),
        max_size=3,
    ).map(tuple),
)
LISTINGS = st.builds(
    lambda versions, aliases: RegistryListing(tuple(sorted(versions, key=lambda one: one.number)), aliases),
    st.lists(VERSIONS, max_size=30, unique_by=lambda one: one.number),
    st.dictionaries(st.sampled_from(["champion", "challenger", "old"]), st.integers(1, 45), max_size=3),
)


@given(first=LISTINGS, second=LISTINGS)
def test_whatever_is_listed_documents_are_right_sources_stay_and_an_alias_has_one_owner(first, second):
    live: dict[str, Any] = {}
    mark = 0
    for seen in (first, second, second):
        sources = {name: one["spec"]["uri"] for name, one in live.items()}
        for _ in range(3):
            found = round_of(TARGET, seen, list(live.values()), mark)
            assert found.mark >= 0
            for document in (*(after for _, after in found.changed), *made(found, seen)):
                parse(document)
                live[document["metadata"]["name"]] = document
                held = [alias for one in live.values() for alias in one["spec"].get("aliases", ())]
                assert len(held) == len(set(held))
            mark = found.mark
        assert all(live[name]["spec"]["uri"] == uri for name, uri in sources.items())
        assert not found.changed and not found.new


@given(key=st.text(max_size=20), value=ANYTHING, at=ANYTHING, dataset=st.text(max_size=5))
def test_whatever_a_run_says_what_counts_fits_into_a_document(key, value, at, dataset):
    found, _ = evaluations_of((RunMetric(key, value, at, dataset), RunMetric("h/samples", value, at)))
    spec = {"model": "ranker", "uri": "s3://x", "evaluations": found}
    parse(
        {
            "apiVersion": "tidegate.dev/v1alpha1",
            "kind": "ModelVersion",
            "metadata": {"name": "ranker-v1", "namespace": "search"},
            "spec": spec,
        }
    )
