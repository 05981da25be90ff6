"""What `tidegate import` proposes for what others run is a pair of files; what it proposes, the next command accepts.

`make golden` rewrites the pairs.
"""

from pathlib import Path

import pytest

from istio_templates.documents import load
from istio_templates.documents.parse import API_VERSION, SPECS
from istio_templates.facts import Manifest
from istio_templates.names import key_of
from istio_templates.yaml_text import yaml_text
from k8s_manager.importers.cluster_objects import namespace_of
from k8s_manager.importers.propose import propose
from k8s_manager.importers.rollout_labels import writer_of
from k8s_manager.offline.offline_world import manifests

FOLDER = Path(__file__).parent / "imports"
CASES = sorted(file.name.removesuffix(".in.yaml") for file in FOLDER.glob("*.in.yaml"))


TAKEN_OVER = "-taken-over"
"""Ends the name of a case whose reviewed proposal is that of `--take-over`."""


def proposed(case: str, take_over: bool = False) -> tuple[list[Manifest], list[str]]:
    proposal = propose(load((FOLDER / f"{case}.in.yaml").read_text()), take_over)
    return proposal.told(), [str(note) for note in proposal.notes]


def is_ours(obj: Manifest) -> bool:
    return str(obj["apiVersion"]) == API_VERSION


def text_of(case: str) -> str:
    documents, notes = proposed(case, case.endswith(TAKEN_OVER))
    return "".join(f"# {note}\n" for note in notes) + (yaml_text(documents) if documents else "")


@pytest.mark.parametrize("case", CASES)
def test_what_is_proposed_and_noted_is_what_was_reviewed(case: str, update_golden: bool):
    file = FOLDER / f"{case}.out.yaml"
    if update_golden:
        file.write_text(text_of(case))
    assert text_of(case) == file.read_text(), f"{file.name} differs; if that is meant: make golden, and review it"


@pytest.mark.parametrize("take_over", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_what_is_proposed_is_accepted_by_the_next_command(case: str, take_over: bool):
    documents, _ = proposed(case, take_over)
    keys = [key_of(document) for document in documents]
    read = load((FOLDER / f"{case}.in.yaml").read_text())
    standing = [obj for obj in read if obj["kind"] in SPECS and key_of(obj) not in keys and is_ours(obj)]
    rendered = manifests([*standing, *documents])  # raises Invalid where one document is rejected
    assert bool(rendered) == bool(documents)


@pytest.mark.parametrize("case", CASES)
def test_only_routes_that_were_read_are_limited_and_only_labels_that_last_count_pods(case: str):
    read = load((FOLDER / f"{case}.in.yaml").read_text())
    kinds = {"virtualService": "VirtualService", "httpRoute": "HTTPRoute"}
    routes = {(o["kind"], namespace_of(o), o["metadata"]["name"]) for o in read}
    for document in proposed(case)[0]:
        if document["kind"] == "Model" and key_of(document) not in map(key_of, read):
            spec = document["spec"]
            ((field, name),) = spec["attachTo"].items()
            assert (kinds[field], document["metadata"]["namespace"], name) in routes
            labels = [version["existing"]["labels"] for version in spec["versions"]]
            assert all(chosen for chosen in labels) and not [k for chosen in labels for k in chosen if writer_of(k)]
            assert len({tuple(sorted(chosen.items())) for chosen in labels}) == len(labels)
