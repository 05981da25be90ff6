"""`status.selection`: the choice of documents with its evidence, and moments that a second look does not move."""

from datetime import UTC, datetime, timedelta

import pytest

from istio_templates.documents import ModelSpec, parse
from istio_templates.facts import ObjectKey
from k8s_manager.release.selection_document import VersionReader, registered_versions
from k8s_manager.release.selection_status import selection_condition, selection_of, selection_sentences
from k8s_manager.world.world import Stored
from tests.support.documents import API, model

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
AUC = {"dataset": "holdout", "metric": "auc", "samples": 1000, "at": "2026-11-21T00:00:00Z"}
ACCURACY = {"strategy": "accuracyDriven", "metric": {"name": "auc", "dataset": "holdout"}, "minDelta": 0.01}


def stored(**versions):
    found = []
    for name, spec in versions.items():
        metadata = {"name": f"ranker-{name}", "namespace": "search"}
        whole = {"model": "ranker", "image": f"x:{name}", **spec}
        document = parse({"apiVersion": API, "kind": "ModelVersion", "metadata": metadata, "spec": whole})
        key = ObjectKey("ModelVersion", "search", f"ranker-{name}")
        found.append(Stored(key, name, 1, "2026-11-20T00:00:00Z", False, False, document, ()))
    return found


def registered(**versions):
    return registered_versions(stored(**versions)).get(("search", "ranker"), ())


def test_a_document_that_has_not_changed_is_not_read_again():
    reader, found = VersionReader(), stored(v1=data(1), v2=data(2))
    first = reader.read(found)["search", "ranker"]
    again = reader.read([found[0], *stored(v2=data(3))])["search", "ranker"]
    assert again[0] is first[0] and again[1].data_until != first[1].data_until
    assert [one.name for one in reader.read(found[1:])["search", "ranker"]] == ["v2"]


def select(versions, status=None, now=NOW, **selection):
    spec = parse(model(selection=selection or {"strategy": "dataDriven"})).spec
    assert isinstance(spec, ModelSpec) and spec.selection is not None
    return selection_of(spec, spec.selection, status or {}, versions, now)


def data(day: int, **more):
    return {"dataUntil": f"2026-11-{day:02d}T00:00:00Z", **more}


def test_newer_data_is_chosen_with_its_evidence_and_the_condition_says_what_to_do():
    found = select(registered(v1=data(1), v2=data(20)))
    assert (found["from"], found["to"], found["reason"]) == ("v1", "v2", "Chosen")
    assert "2026-11-20" in found["evidence"][0]
    condition = selection_condition(found)
    assert (condition.holds, condition.reason) == (False, "Chosen") and "move the traffic" in condition.message
    assert any("v2 should serve instead of v1" in sentence for sentence in selection_sentences("search/ranker", found))


def test_a_second_look_keeps_the_moments_of_the_first_and_the_choice_expires():
    versions = registered(v1=data(1), v2=data(20))
    first = select(versions)
    later = select(versions, {"selection": first}, NOW + timedelta(days=2))
    assert (later["notBefore"], later["expires"]) == (first["notBefore"], first["expires"])
    late = select(versions, {"selection": first}, NOW + timedelta(days=8))
    assert late["reason"] == "Expired" and "has waited until" in late["message"]
    other = select(registered(v1=data(1), v2=data(20), v3=data(22)), {"selection": first}, NOW + timedelta(days=8))
    assert (other["to"], other["reason"]) == ("v3", "Chosen")


@pytest.mark.parametrize("odd", [1, [], {"to": "v2", "notBefore": 5, "expires": "soon"}, {"to": {}}])
def test_what_others_have_written_into_the_status_stops_nothing(odd):
    found = select(registered(v1=data(1), v2=data(20)), {"selection": odd, "rollout": odd})
    assert found["to"] == "v2" and found["reason"] == "Chosen"


def test_a_blocked_version_is_not_chosen_and_says_why():
    found = select(registered(v1=data(1), v2=data(20, blocked={"reason": "empty answers"})))
    assert "to" not in found
    assert found["rejected"] == [{"version": "v2", "why": "is blocked (empty answers)"}]
    assert selection_condition(found).holds


def test_missing_evaluations_are_the_owners_matter():
    found = select(registered(v1={}, v2={"evaluations": [{**AUC, "value": 0.9}]}), **ACCURACY)
    condition = selection_condition(found)
    assert (condition.holds, condition.reason) == (False, "ServedVersionUnknown")
    assert "evaluate it, or pin a version" in condition.message


def test_an_unregistered_served_version_is_the_owners_matter():
    condition = selection_condition(select(registered(v2=data(20))))
    assert not condition.holds and "register it" in condition.message


def test_a_pin_goes_before_the_strategy_until_it_ends():
    pinned = {"by": "anna", "at": "2026-11-23T00:00:00Z", "until": "2026-11-25T00:00:00Z"}
    versions = registered(v1=data(1), v2=data(20), v3=data(3, pinned=pinned))
    found = select(versions)
    assert (found["strategy"], found["to"]) == ("manual", "v3") and "by anna" in found["evidence"][0]
    assert select(versions, now=NOW + timedelta(days=2))["to"] == "v2"


def test_live_evaluations_of_the_served_version_break_a_threshold():
    live = [{**AUC, "value": 0.7, "at": (NOW - timedelta(minutes=m)).isoformat()} for m in range(0, 40, 5)]
    versions = registered(v1={"evaluations": live}, v2={"evaluations": [{**AUC, "value": 0.9}]})
    limits = [{"metric": {"name": "auc", "dataset": "holdout"}, "min": 0.8}]
    assert select(versions, strategy="threshold", limits=limits, **{"for": "30m"})["to"] == "v2"
    assert "to" not in select(versions, strategy="threshold", limits=limits, **{"for": "60m"})


def test_a_model_without_registered_versions_says_what_to_do():
    found = select(())
    assert "register it" in found["message"] and found["needsOwner"]
