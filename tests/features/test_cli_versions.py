"""`tidegate versions`: a pipeline's steps, and what people do then, in words that say what came of it."""

import asyncio
import json

import pytest
from typer.testing import CliRunner

from k8s_manager.cli.main import build
from tests.features.conftest import make_search
from tests.support.fleet import TOKEN
from tests.support.waiting import until


@pytest.fixture
async def tidegate(fleet, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TIDEGATE_TOKEN", TOKEN)
    async with fleet.manager() as manager, fleet.rest(manager) as rest:
        await make_search(fleet)
        monkeypatch.setenv("TIDEGATE_SERVER", f"http://127.0.0.1:{rest._session._base_url.port}")

        async def run(*words: str) -> tuple[int, str]:
            done = await asyncio.to_thread(CliRunner().invoke, build(words), words)
            return done.exit_code, done.output

        yield run


async def test_a_version_is_registered_evaluated_shown_and_forgotten(tidegate):
    one = ("search/ranker", "v2")
    register = ("versions", "register", *one, "--uri", "s3://models/ranker/2", "--cost", "1.5")
    code, said = await tidegate(*register, "--dry-run")
    assert code == 0 and "search/ranker v2 is registered (dry run)" in said
    assert await tidegate(*register) == (0, "search/ranker v2 is registered\n")
    assert await tidegate(*register) == (0, "search/ranker v2 is registered\n"), "a repeat"
    code, said = await tidegate("versions", "register", *one, "--uri", "s3://models/ranker/3")
    assert code == 2 and "is registered as 's3://models/ranker/2'" in said and "register under another version" in said
    await tidegate("versions", "register", "search/other", "v1", "--image", "example.com/other:1")
    evaluate = ("versions", "evaluate", *one, "auc", "0.91", "--dataset", "holdout", "--samples", "5000")
    assert await tidegate(*evaluate) == (0, "search/ranker v2 has auc 0.91 on holdout\n")
    code, said = await tidegate("versions", "show", *one)
    assert code == 0
    for line in ("files s3://models/ranker/2", "cost 1.5", "auc 0.91 on holdout, 5000 samples"):
        assert line in said, said
    code, said = await tidegate("versions", "list", "search/ranker")
    assert code == 0 and "ranker-v2" in said and "auc 0.91 (holdout)" in said and "other-v1" not in said
    code, said = await tidegate("versions", "list", "-o", "json")
    assert {obj["metadata"]["name"] for obj in json.loads(said)["items"]} == {"ranker-v2", "other-v1"}
    assert await tidegate("versions", "delete", *one) == (0, "search/ranker v2 is deleted\n")
    code, said = await tidegate("versions", "show", *one)
    assert code == 2 and "there is no ModelVersion search/ranker-v2" in said


async def test_aliases_and_where_a_version_was_read_are_shown(tidegate, tmp_path):
    spec = {"model": "ranker", "uri": "s3://m/3", "aliases": ["champion", "new"]}
    spec["registry"] = {"name": "fleet-ranker", "version": "3"}
    metadata = {"name": "ranker-v3", "namespace": "search"}
    file = tmp_path / "version.json"
    file.write_text(
        json.dumps({"apiVersion": "tidegate.dev/v1alpha1", "kind": "ModelVersion", "metadata": metadata, "spec": spec})
    )
    assert (await tidegate("apply", "-f", str(file)))[0] == 0
    code, said = await tidegate("versions", "show", "search/ranker", "v3")
    assert code == 0 and "read from fleet-ranker, version 3, in MLflow" in said and "alias champion" in said
    code, said = await tidegate("versions", "list", "search/ranker")
    assert code == 0 and "champion, new" in said
    dry_run = ("selection", "dry-run", "search/ranker", "--strategy")
    code, said = await tidegate(*dry_run, "manual", "--alias", "champion")
    assert code == 0 and "v3 should serve instead of v1" in said and "v3 has the alias champion." in said
    code, said = await tidegate(*dry_run, "dataDriven", "--alias", "champion")
    assert code == 2 and "--alias belongs to --strategy manual" in said


async def test_a_block_and_a_pin_say_why_and_by_whom(tidegate):
    one = ("search/ranker", "v2")
    await tidegate("versions", "register", *one, "--image", "example.com/ranker:2")
    code, _ = await tidegate("versions", "block", *one, "--reason", "empty answers")
    assert code == 0
    code, said = await tidegate("versions", "pin", *one)
    assert code == 2 and "is blocked: empty answers; unblock it, then pin it" in said
    assert (await tidegate("versions", "unblock", *one))[0] == 0
    code, said = await tidegate("versions", "pin", *one, "--until", "2999-01-01T00:00:00Z", "--reason", "until then")
    assert (code, said) == (0, "search/ranker v2 is pinned\n")
    code, said = await tidegate("versions", "show", *one)
    assert "pinned by" in said and "until 2999-01-01T00:00:00Z" in said and "blocked" not in said
    assert (await tidegate("versions", "unpin", *one))[0] == 0
    code, said = await tidegate("versions", "pin", *one, "--until", "tomorrow")
    assert code == 2 and "until" in said and "is no moment" in said


async def test_old_versions_that_nothing_uses_are_pruned(tidegate):
    for name in ("v1", "v2", "v3", "v4", "v5"):
        await tidegate("versions", "register", "search/ranker", name, "--image", f"example.com/ranker:{name}")
    await tidegate("versions", "pin", "search/ranker", "v2")
    prune = ("versions", "prune", "search/ranker", "--keep", "1", "--older-than", "0s")
    code, said = await tidegate("versions", "prune", "search/ranker", "--keep", "1")
    assert (code, said) == (0, "search/ranker has no version to forget\n"), "all are young"
    expected = ["v3", "v4"]  # v1 is listed by the model, v2 pinned, v5 the youngest
    told = [f"search/ranker {name} would be deleted" for name in expected]

    async def are_old() -> bool:  # creation times are whole seconds
        return (await tidegate(*prune, "--dry-run"))[1].splitlines() == told

    await until(are_old, what="the versions being older than nothing")
    code, said = await tidegate(*prune, "-o", "json")
    assert code == 0 and json.loads(said)["pruned"] == expected
    _, said = await tidegate("versions", "list", "-o", "json")
    assert {obj["metadata"]["name"] for obj in json.loads(said)["items"]} == {"ranker-v1", "ranker-v2", "ranker-v5"}
