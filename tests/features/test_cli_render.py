"""`tidegate render` as its user calls it."""

from pathlib import Path

import pytest
import yaml

from k8s_manager.cli.main import COMMANDS, build
from tests.features.test_cli import tidegate
from tests.gitops import existing
from tests.support.documents import gateway, model, tenant
from tests.support.git_server import files, git, git_server

WARMED = {"mode": "fixedDelay", "fixedDelay": {"load": "5s"}}


@pytest.fixture
def documents(tmp_path: Path) -> Path:
    folder = tmp_path / "documents"
    folder.mkdir()
    for raw in (gateway(), tenant(), model(warmup=WARMED)):
        (folder / f"{raw['kind'].lower()}.yaml").write_text(yaml.safe_dump(raw))
    return folder


async def test_a_tree_is_written_checked_and_brought_up_to_date(documents: Path, tmp_path: Path):
    tree = tmp_path / "tree"
    words = ("render", "-f", str(documents), "-d", str(tree))
    code, out, error = await tidegate(*words, "--check")
    assert (code, error) == (1, "") and "+++ b/tenants/search/ranker/virtualservice_search_ranker.yaml" in out
    assert not tree.exists()
    code, out, error = await tidegate(*words)
    assert (code, error) == (0, "") and out.endswith(" files written, 0 removed\n")
    assert await tidegate(*words, "--check") == (0, "", "")
    (documents / "model.yaml").unlink()
    code, out, _ = await tidegate(*words, "--check")
    assert code == 1 and "--- a/tenants/search/ranker/service_search_ranker.yaml\n+++ /dev/null" in out
    code, out, _ = await tidegate(*words)
    assert code == 0 and not (tree / "tenants/search/ranker").exists()
    code, out, _ = await tidegate(*words)
    assert out == f"{tree}: 0 files written, 0 removed\n"


async def test_a_wrong_document_leaves_the_tree_as_it_was(documents: Path, tmp_path: Path):
    tree = tmp_path / "tree"
    words = ("render", "-f", str(documents), "-d", str(tree))
    assert (await tidegate(*words))[0] == 0
    (documents / "model.yaml").unlink()
    (documents / "broken.yaml").write_text("kind: [\n")
    code, out, error = await tidegate(*words)
    assert (code, out) == (2, "") and error.startswith(
        f"error TG101 {documents}/broken.yaml: broken YAML at line 2, column 1: "
    )
    assert (tree / "tenants/search/ranker").exists()


async def test_a_tree_is_not_emptied_by_a_folder_without_documents(tmp_path: Path):
    (tmp_path / "empty").mkdir()
    code, _, error = await tidegate("render", "-f", str(tmp_path / "empty"), "-d", str(tmp_path))
    assert code == 2 and f"TG101 {tmp_path / 'empty'}: is empty: no file in it ends with .yaml" in error


async def test_a_file_of_somebody_else_in_the_way_is_named(documents: Path, tmp_path: Path):
    (tmp_path / "kustomization.yaml").write_text("resources: []\n")
    code, _, error = await tidegate("render", "-f", str(documents), "-d", str(tmp_path))
    assert (
        code == 2
        and "kustomization.yaml: exists and was not rendered by Tidegate; move it, or render to another folder" in error
    )


async def test_validation_tells_findings_with_codes_and_takes_the_versions_that_are_run(documents: Path):
    targets = ("--target-version", "istio-1.30", "--target-version", "kubernetes-1.33")
    code, out, error = await tidegate("render", "-f", str(documents), "--validate", *targets)
    assert (code, error) == (0, "") and "kind: VirtualService" in out
    (documents / "model.yaml").write_text(yaml.safe_dump(model()))
    code, _, error = await tidegate("render", "-f", str(documents), "--validate")
    assert code == 0 and error.startswith(
        f"warning TG303 {documents}/model.yaml: Model search/ranker: spec.warmup: is absent"
    )
    code, _, error = await tidegate("render", "-f", str(documents), "--validate", "--target-version", "istio-0.9")
    assert code == 1 and "'istio-0.9' is no version that is supported; those are istio-1.30" in error


async def test_options_that_mean_nothing_alone_say_what_is_missing(documents: Path):
    code, _, error = await tidegate("render", "-f", str(documents), "--check")
    assert code == 2 and "say where it is: -d DIR" in error
    code, _, error = await tidegate("render", "-f", str(documents), "--target-version", "istio-1.30")
    assert code == 2 and "add --validate" in error


def test_the_table_of_commands_is_that_of_the_modules():
    for module, commands in COMMANDS.items():
        for command in commands:
            app = build([command])
            there = {c.name or c.callback.__name__ for c in app.registered_commands} | {
                g.name for g in app.registered_groups
            }
            assert there == set(commands), module
    assert len(build([]).registered_commands) + len(build([]).registered_groups) == sum(map(len, COMMANDS.values()))


async def test_the_hook_for_pre_commit_calls_what_there_is(documents: Path, tmp_path: Path):
    (hook,) = yaml.safe_load((Path(__file__).parents[2] / ".pre-commit-hooks.yaml").read_text())
    program, *words = hook["entry"].split()
    code, _, error = await tidegate(*words, "-f", str(documents), "-d", str(tmp_path / "tree"))
    assert (program, code, error) == ("tidegate", 0, "") and hook["pass_filenames"] is False


async def test_a_tree_is_pushed_to_a_branch_or_to_one_for_review(documents: Path, tmp_path: Path):
    (tmp_path / "served").mkdir()
    async with git_server(tmp_path / "served") as server:
        place = server.make()
        words = ("push", "-f", str(documents), "--to", server.url(), "--folder", "clusters/eu")
        code, out, error = await tidegate(*words, "-m", "OPS-7: begin", "--author", "Ada <ada@example.com>")
        head = git("rev-parse", "main", at=place)
        assert (
            (code, error) == (0, "")
            and out.startswith(f"main is at {head}: ")
            and out.endswith(" files written, 0 removed\n")
        )
        assert git("log", "--format=%an %s", "main", at=place) == "Ada OPS-7: begin"
        assert await tidegate(*words) == (0, f"main holds it already, at {head}\n", "")
        (documents / "model.yaml").unlink()
        code, out, _ = await tidegate(*words, "--review")
        branch = out.split()[0]
        assert code == 0 and branch.startswith("tidegate/") and git("rev-parse", f"{branch}~1", at=place) == head
        assert not any("ranker" in path for path in files(place, branch)) and git("rev-parse", "main", at=place) == head
        code, again, _ = await tidegate(*words, "--review")
        assert (code, again.split()[0]) == (0, branch) and "holds it already" in again
        server.hook("pre-receive", "echo 'main is protected' >&2; exit 1")
        code, _, error = await tidegate(*words)
        assert code == 1 and "the push was refused" in error and "Traceback" not in error
    code, _, error = await tidegate(*words)
    assert code == 1 and "Connection refused" in error and "Traceback" not in error


async def test_addresses_branches_and_folders_that_are_none_are_refused(documents: Path):
    for option, value in (
        ("--to", "ext::sh -c id"), ("--to", "--upload-pack=x"), ("--to", "relative/path"), ("--branch", "../x"), ("--branch", "-f"),
        ("--branch", "a..b"), ("--folder", "../up"), ("--folder", "/abs"), ("--folder", "a//b"), ("--folder", ".git"),
    ):  # fmt: skip
        given = {"--to": "https://git.example.com/x.git", option: value}
        words = [f"{name}={text}" for name, text in given.items()]
        code, _, error = await tidegate("push", "-f", str(documents), *words)
        assert code == 2 and f"{option}: " in error, (option, value, error)


async def test_documents_are_proposed_for_what_is_there(tmp_path: Path):
    there = [existing.gateway(), existing.service(), existing.destination_rule()]
    there.append(existing.virtual_service(existing.route(("ranker", "v1", 100), fault={})))
    (tmp_path / "there.yaml").write_text(yaml.safe_dump({"kind": "List", "apiVersion": "v1", "items": there}))
    code, out, error = await tidegate("import", "-f", str(tmp_path))
    assert [d["kind"] for d in yaml.safe_load_all(out)] == ["InferenceGateway", "Tenant", "Model"] and code == 0
    assert "note: VirtualService search/ranker: no limit is proposed" in error
    assert error.splitlines()[-1].startswith("3 documents proposed, ")
    code, out, error = await tidegate("import", "-f", str(tmp_path), "--take-over")
    assert (code, list(yaml.safe_load_all(out))[2]["spec"]["routes"][0]["port"]) == (0, 8080)
    assert "note: VirtualService search/ranker: spec.http[0].fault: is not expressed" in error
    (tmp_path / "there.yaml").write_text("kind: Pod\napiVersion: v1\nmetadata: {name: p}\n")
    code, out, error = await tidegate("import", "-f", str(tmp_path))
    assert (code, out) == (2, "") and "note: Pod p: is of no kind that is read" in error
