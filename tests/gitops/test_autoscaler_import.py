"""Autoscalers of other owners as `autoscale`: how fast replicas come and go, and objects of any shape."""

import copy
from pathlib import Path
from typing import Any

import pytest

from istio_templates.documents import load, parse
from k8s_manager.importers.propose import propose
from tests.gitops.test_importers import ODD, paths

FILE = Path(__file__).parents[1] / "golden" / "imports" / "autoscalers.in.yaml"


def found(objects: list[dict]) -> tuple[dict, list[str]]:
    proposal = propose(copy.deepcopy(objects), False)
    return {d["metadata"]["name"]: d["spec"] for d in proposal.told()}, list(map(str, proposal.notes))


def objects() -> list[dict]:
    return load(FILE.read_text())


def named(kind: str, name: str, read: list[dict]) -> dict:
    return next(obj for obj in read if obj["kind"] == kind and obj["metadata"]["name"] == name)


def scaled(behavior: Any) -> dict:
    read = objects()
    named("HorizontalPodAutoscaler", "ranker", read)["spec"]["behavior"] = behavior
    return found(read)[0]["ranker"]["versions"][0]["autoscale"]


@pytest.mark.parametrize(
    ("policies", "window", "step"),
    [
        ([], 300, "100%"),  # Kubernetes' own: all of what the window would have borne, at once
        ([{"type": "Percent", "value": 100, "periodSeconds": 15}], 300, "100%"),
        ([{"type": "Percent", "value": 50, "periodSeconds": 60}], 60, "50%"),
        ([{"type": "Percent", "value": 50, "periodSeconds": 60}], 120, "75%"),
        ([{"type": "Percent", "value": 10, "periodSeconds": 600}], 300, "10%"),
        ([{"type": "Pods", "value": 2, "periodSeconds": 60}], 300, "100%"),
    ],
)
def test_what_goes_in_a_window_is_what_its_policy_lets_go(policies: list, window: int, step: str):
    down = {"stabilizationWindowSeconds": window, "policies": policies}
    assert scaled({"scaleDown": down})["scaleDown"] == {"window": f"{window}s", "step": step}


@pytest.mark.parametrize(("value", "period", "step"), [(100, 15, "100%"), (100, 30, "41%"), (10, 60, "2%")])
def test_what_comes_in_15_s_is_what_its_policy_lets_come(value: int, period: int, step: str):
    up = {"policies": [{"type": "Percent", "value": value, "periodSeconds": period}]}
    assert scaled({"scaleUp": up})["scaleUp"] == {"step": step}


def test_replicas_may_go_to_none_where_callers_are_answered():
    read = objects()
    chat = named("Model", "chat", read)["spec"]
    chat["rateLimit"] = {"perReplicaQps": 5, "fallback": {"cold": "closed"}}
    documents, notes = found(read)
    autoscale = documents["chat"]["versions"][0]["autoscale"]
    assert (autoscale["min"], autoscale["max"], autoscale["writer"]) == (0, 12, "tidegate")
    assert not any("0 needs" in note for note in notes)


def test_what_has_autoscale_keeps_it_and_the_other_autoscaler_is_to_go():
    read = objects()
    named("Model", "ranker", read)["spec"]["versions"][0]["autoscale"] = {"max": 3}
    documents, notes = found(read)
    assert documents["ranker"]["versions"][0]["autoscale"] == {"max": 3}
    said = "scales a version that has autoscale already; delete it: kubectl delete horizontalpodautoscaler ranker -n search"
    assert f"HorizontalPodAutoscaler search/ranker: {said}" in notes


def test_a_model_without_its_tenant_is_not_proposed():
    documents, notes = found([obj for obj in objects() if obj["kind"] != "Tenant"])
    assert documents == {}
    assert any("Model search/ranker" in note and "is not proposed" in note for note in notes)


@pytest.mark.parametrize(
    ("kind", "name"),
    [("HorizontalPodAutoscaler", "ranker"), ("ScaledObject", "chat"), ("Model", "legacy"), ("Tenant", "search")],
)
def test_autoscalers_of_any_shape_are_read_or_noted_and_never_stop_the_others(kind: str, name: str):
    read = objects()
    there, tried = named(kind, name, read), 0
    for way in paths({"spec": there["spec"], "metadata": {"ownerReferences": [{"kind": "ScaledObject"}]}}):
        for value in ODD:
            changed: dict = copy.deepcopy({**there, "metadata": {"ownerReferences": [{}], **there["metadata"]}})
            place: Any = changed
            for step in way[:-1]:
                place = place[step]
            place[way[-1]] = value
            documents, _ = found([*(obj for obj in read if obj is not there), changed])
            assert kind == "Tenant" or documents, (way, value)
            tried += 1
    assert tried > 30


def test_every_proposal_is_right_in_itself():
    proposal = propose(objects(), False)
    for document in proposal.told():
        assert parse(document).spec.versions[0].autoscale is not None  # type: ignore[union-attr]
