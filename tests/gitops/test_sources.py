"""Documents from files: what is broken is named with its place, the rest is read."""

import json
from pathlib import Path

import pytest
import yaml

from k8s_manager.cli.manifest_commands.render import read
from k8s_manager.offline.incremental_render import Rendering
from tests.support.documents import gateway, model, tenant


def lines(folder: Path) -> list[str]:
    given = read([str(folder)])
    rendered = Rendering().of(given.documents, given.places)
    return [str(finding).replace(f"{folder}/", "") for finding in (*given.findings, *rendered.findings)]


def put(folder: Path, name: str, *documents: dict) -> None:
    (folder / name).write_text(yaml.safe_dump_all(documents))


def test_one_broken_file_of_a_thousand_is_named_with_line_and_column_and_the_rest_is_read(tmp_path: Path):
    put(tmp_path, "gateway.yaml", gateway())
    for number in range(999):
        put(tmp_path, f"t{number}.yaml", tenant(f"t{number}"))
    (tmp_path / "t500.yaml").write_text("kind: Tenant\nmetadata:\n  name: [t500\nspec: {}\n")
    given = read([str(tmp_path)])
    assert len(given.documents) == 999
    (finding,) = lines(tmp_path)
    assert finding.startswith("error TG101 t500.yaml: broken YAML at line 4, column 5: ")


def test_what_cannot_be_read_is_named(tmp_path: Path):
    (tmp_path / "latin.yaml").write_bytes(b"kind: \xe9\xff\n")
    (tmp_path / "list.yaml").write_text("- 1\n")
    found = lines(tmp_path)
    assert [line.split(":")[0] for line in found] == ["error TG101 latin.yaml", "error TG101 list.yaml"]
    (finding,) = read([str(tmp_path / "nowhere.yaml")]).findings
    assert finding.code == "TG101" and "No such file" in finding.problem.message


def test_a_folder_that_is_a_link_is_named_and_one_file_is_read_once(tmp_path: Path):
    (tmp_path / "there").mkdir()
    put(tmp_path / "there", "gateway.yaml", gateway())
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "link").symlink_to(tmp_path / "there")
    (finding,) = read([str(tmp_path / "here")]).findings
    assert finding.code == "TG101" and "is a link to a folder" in finding.problem.message
    given = read([str(tmp_path / "there"), str(tmp_path / "there" / "gateway.yaml")])
    assert (len(given.documents), given.findings) == (1, ())


def test_every_wrong_field_is_named_with_its_document(tmp_path: Path):
    wrong = model(rateLimit={"perReplicaQps": -1})
    wrong["spec"]["routes"][0]["port"] = 0
    put(tmp_path, "all.yaml", gateway(), tenant(), wrong)
    found = lines(tmp_path)
    assert len(found) == 2 and all(
        line.startswith("error TG102 all.yaml (document 3): Model ranker: spec.") for line in found
    )


def test_a_document_that_stands_twice_is_named_with_both_places(tmp_path: Path):
    put(tmp_path, "a.yaml", gateway(), tenant())
    put(tmp_path, "b.yaml", tenant())
    assert lines(tmp_path) == ["error TG103 b.yaml: Tenant search: stands in a.yaml (document 2) too; keep one"]


def test_two_files_that_claim_one_host_are_both_named(tmp_path: Path):
    put(tmp_path, "gateway.yaml", gateway())
    put(tmp_path, "a.yaml", tenant("a", host="one.example.com"))
    put(tmp_path, "b.yaml", tenant("b", host="one.example.com"))
    (finding,) = lines(tmp_path)
    assert finding.startswith("error TG105 b.yaml: Tenant b: spec.hosts") and "Tenant a in a.yaml" in finding


def test_what_refers_to_nothing_is_named(tmp_path: Path):
    put(tmp_path, "tenant.yaml", tenant())
    (finding,) = lines(tmp_path)
    assert finding.startswith("error TG102 tenant.yaml: Tenant search: spec.gateway") and "shared" in finding
    put(tmp_path, "tenant.yaml", gateway(), model())
    (finding,) = lines(tmp_path)
    assert finding.startswith("error TG104 tenant.yaml (document 2): Model search/ranker: ")


def test_documents_may_lie_in_a_folder_that_kustomize_applies(tmp_path: Path):
    put(tmp_path, "kustomization.yaml", {"kind": "Kustomization", "resources": ["gateway.yaml"]})
    put(tmp_path, "gateway.yaml", gateway())
    assert lines(tmp_path) == [] and len(read([str(tmp_path)]).documents) == 1


@pytest.mark.parametrize("name", ["kustomization.yaml", "kustomization.yml", "Kustomization"])
@pytest.mark.parametrize(
    ("own", "said"),
    [
        ({"resources": ["gateway.yaml"], "sortOptions": {"order": "fifo"}}, None),
        ({"resources": ["gateway.yaml"], "namePrefix": "a-", "labels": []}, "changes what it lists (namePrefix); run: kubectl kustomize "),
        ({"resources": ["gateway.yaml"], "patches": [{"path": "p.yaml"}]}, "changes what it lists (patches)"),
        ({"resources": ["../base"]}, "lists ../base, which is not below "),
        ({"resources": ["https://example.com/a.yaml"]}, "lists https://example.com/a.yaml, which is not below "),
        ({"resources": ["gone.yaml"]}, "lists gone.yaml, which is not below "),
    ],
)  # fmt: skip
def test_a_folder_in_which_kustomize_does_more_than_listing_is_left_to_it(
    tmp_path: Path, name: str, own: dict, said: str | None
):
    put(tmp_path, name, {"kind": "Kustomization", **own})
    put(tmp_path, "gateway.yaml", gateway())
    found = lines(tmp_path)
    assert found == [] if said is None else len(found) == 1 and f"error TG101 {name}: {said}" in found[0]


def test_an_overlay_reads_a_base_that_is_read_too(tmp_path: Path):
    (tmp_path / "base").mkdir()
    (tmp_path / "eu").mkdir()
    put(tmp_path / "base", "gateway.yaml", gateway())
    put(tmp_path / "eu", "kustomization.yaml", {"resources": ["../base"]})
    assert lines(tmp_path) == []
    assert "lists ../base" in lines(tmp_path / "eu")[0]


@pytest.mark.parametrize(
    ("place", "said"),
    [("kustomization.yml", "kustomize's own file; give its folder"), ("https://example.com/a.yaml", "curl https://example.com/a.yaml |")],
)  # fmt: skip
def test_what_is_no_file_of_documents_is_told_with_what_to_do(place: str, said: str):
    (finding,) = read([place]).findings
    assert finding.code == "TG101" and said in finding.problem.message


def test_what_kubectl_prints_is_read_back(tmp_path: Path):
    """A List of documents with everything that a cluster adds, after empty documents, with a byte order mark."""
    server = {
        "uid": "1",
        "resourceVersion": "7",
        "generation": 2,
        "creationTimestamp": "2026-11-28T07:00:00Z",
        "managedFields": [{}],
    }
    dumped = [
        {**raw, "metadata": {**raw["metadata"], **server}, "status": {"conditions": []}}
        for raw in (gateway(), tenant(), model())
    ]
    text = yaml.safe_dump({"apiVersion": "v1", "kind": "List", "metadata": {"resourceVersion": ""}, "items": dumped})
    for name, raw in {
        "a.yaml": f"---\n# nothing\n---\n{text}---\n".encode("utf-8-sig"),
        "b.yaml": text.encode("utf-16"),
        "c.json": json.dumps({"kind": "List", "items": dumped}, indent="\t").encode(),
        "d.json": "\n".join(map(json.dumps, dumped)).encode(),
    }.items():
        (tmp_path / name).write_bytes(raw)
        given = read([str(tmp_path / name)])
        assert (len(given.documents), given.findings) == (3, ()), name


def test_an_object_of_a_list_is_named_by_its_place(tmp_path: Path):
    wrong = model(rateLimit={"perReplicaQps": -1})
    put(tmp_path, "all.yaml", tenant("b"), {"kind": "List", "items": [gateway(), tenant(), wrong]})
    (finding,) = (line for line in lines(tmp_path) if "Model ranker" in line)
    assert finding.startswith("error TG102 all.yaml (document 2, item 3): Model ranker: spec.rateLimit.perReplicaQps")
