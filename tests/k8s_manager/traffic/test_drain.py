"""Versions that have left their document stay until their drain time is over, also over a restart."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from istio_templates.documents import parse
from istio_templates.facts import ObjectKey
from k8s_manager.traffic import drain
from k8s_manager.world.world import Stored, World
from tests.support.documents import model

NOW = datetime(2026, 11, 21, 12, 0, 0, 300, tzinfo=UTC)
KEY = ObjectKey("Model", "search", "ranker")


def stored(status: dict | None = None, **spec) -> Stored:
    document = parse(model(**spec))
    return Stored(KEY, "u", 1, "", False, True, document, (), status=status or {})


def leaving(kind: str = "Deployment", version: str = "v0") -> dict:
    labels = {"tidegate.dev/model": "ranker", "tidegate.dev/version": version}
    return {"kind": kind, "metadata": {"name": f"ranker-{version}", "namespace": "search", "labels": labels}}


def held_back(deletes, models, now, departed=None):
    world = World((), (), tuple(models), {}, {}, {}, frozenset(), frozenset(), departed=departed or {})
    return drain.defer_draining(deletes, world, now)


BOTH = [{"name": "v1", "workload": {"image": "a"}}, {"name": "v0", "existing": {"labels": {"app": "ranker"}}}]
OBJECTS = [leaving(), leaving("PodDisruptionBudget")]


def test_a_version_stays_for_its_drain_time_and_then_goes():
    deletes, stays = held_back(OBJECTS, [stored(drain="2m")], NOW)
    assert deletes == []
    told = stays.status("search", "ranker")
    assert told == [{"version": "v0", "until": "2026-11-21T12:02:01Z"}]
    assert stays.due(NOW) == 120
    again = stored({"draining": told}, drain="2m")
    deletes, stays = held_back(OBJECTS, [again], NOW + timedelta(seconds=90))
    assert (deletes, stays.status("search", "ranker")) == ([], told)
    for later in (NOW + timedelta(seconds=122), NOW + timedelta(seconds=500)):
        deletes, stays = held_back(OBJECTS, [again], later)
        assert (deletes, stays.due(later)) == (OBJECTS, None)
        assert stays.status("search", "ranker") == told, "a drain that has ended does not begin again"


def test_a_shorter_drain_shortens_one_that_is_under_way():
    told = [{"version": "v0", "until": "2026-11-21T13:00:00Z"}]
    _, stays = held_back(OBJECTS, [stored({"draining": told}, drain="10s")], NOW)
    assert stays.due(NOW) == 10


@pytest.mark.parametrize(
    "found",
    [stored(drain="0s"), replace(stored(), deleting=True), replace(stored(), document=None), None],
    ids=["no drain", "a model that is deleted", "unreadable", "no document"],
)
def test_without_a_drain_or_a_model_nothing_stays(found):
    assert held_back(OBJECTS, [found] if found else [], NOW)[0] == OBJECTS


def test_objects_that_are_no_versions_go_at_once():
    others = [leaving("VirtualService"), {"kind": "Namespace", "metadata": {"name": "search"}}]
    deletes, _ = held_back([*OBJECTS, *others], [stored()], NOW)
    assert deletes == others


@pytest.mark.parametrize(
    "told", ["soon", [{}], [{"version": "v0", "until": "soon"}], [{"version": "v0", "until": "2026-11-21T13:00:00"}]]
)
def test_a_status_that_cannot_be_read_says_nothing(told):
    _, stays = held_back(OBJECTS, [stored({"draining": told}, drain="1m")], NOW)
    assert stays.due(NOW) == 60


def test_a_version_that_serves_until_another_can_stays_and_does_not_drain():
    deletes, stays = held_back(OBJECTS, [stored(versions=BOTH)], NOW, {("search", "ranker"): ("v0",)})
    assert (deletes, stays.until) == ([], {})


def test_what_a_version_of_the_document_no_longer_needs_goes_at_once():
    objects = [leaving("PodDisruptionBudget", "v1"), leaving("Deployment", "v1")]
    deletes, stays = held_back(objects, [stored()], NOW)
    assert (deletes, stays.until) == (objects, {})
