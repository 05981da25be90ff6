"""Every kind of document with every command that takes documents: it works, or it ends in a sentence."""

import asyncio
import contextlib
import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from istio_templates.documents.crd import crds
from k8s_manager.cli import main as command_line
from k8s_manager.cli.kinds import KINDS
from tests.features.conftest import make_search
from tests.support.documents import API, gateway, model, tenant
from tests.support.fleet import TOKEN

CASE = {
    "target": {"protocol": "http", "port": 8080, "path": "/a", "readyPath": "/a"},
    "cases": [{"name": "a", "text": "b"}],
}
OVERRIDE = {
    "target": {"tenant": "search"},
    "action": "freeze",
    "author": "ops",
    "reason": "night",
    "expires": "2999-01-01T00:00:00Z",
}


def document(kind: str, spec: dict, **metadata: str) -> dict:
    return {"apiVersion": API, "kind": kind, "metadata": {"name": "one", **metadata}, "spec": spec}


DOCUMENTS: dict[str, dict[str, Any]] = {
    "InferenceGateway": gateway("one", "one-gw"),
    "Tenant": tenant("one"),
    "Model": model("one"),
    "LimitOverride": document("LimitOverride", OVERRIDE, namespace="tidegate-system"),
    "WarmupPlan": document("WarmupPlan", {**CASE, "success": {"latency": {"max": "1s"}}}, namespace="search"),
    "ModelVersion": document("ModelVersion", {"model": "one", "image": "x:1"}, name="one-v1", namespace="search"),
    "Caller": document("Caller", {"models": ["one"]}, namespace="search"),
    "AccessGrant": document("AccessGrant", {"role": "viewer", "groups": ["ml"]}),
}
BY_KUBECTL = {"WarmupPlan"}
ODD: dict[str, Any] = {
    "an unknown kind": {**model(), "kind": "Modle"},
    "a kind of Kubernetes": {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "one"}, "spec": {}},
    "no kind": {"metadata": {"name": "one"}},
    "a kind that is a number": {"kind": 5},
    "a kind that is a mapping": {"kind": {"a": 1}},
    "no metadata": {"apiVersion": API, "kind": "Model"},
    "metadata that is a text": {**model(), "metadata": "one"},
    "a name that is a number": {**model(), "metadata": {"name": 1, "namespace": "search"}},
    "no spec": {"apiVersion": API, "kind": "WarmupPlan", "metadata": {"name": "one", "namespace": "search"}},
    "a spec that is a list": {**tenant(), "spec": []},
    "a tenant's own override": document("LimitOverride", OVERRIDE, namespace="search"),
    "an override without a namespace": document("LimitOverride", OVERRIDE),
    "an empty list": {"kind": "List", "items": []},
    "a list with a text": {"kind": "List", "items": ["a"]},
    "nothing": {},
}
WRITES = (["plan"], ["diff"], ["apply", "--dry-run"], ["apply"])
OFFLINE = (["render"], ["render", "--validate"], ["push", "--to", "/nowhere"], ["import"])


def test_every_kind_that_has_a_crd_is_tried():
    assert set(DOCUMENTS) == {crd["spec"]["names"]["kind"] for crd in crds()} == {*KINDS, *BY_KUBECTL}


def run(words: list[str]) -> tuple[int, str]:
    """Run a command in this process, so that whatever is no sentence fails the test."""
    said = io.StringIO()
    sys.argv = ["tidegate", *words]
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        try:
            command_line.main()
        except SystemExit as end:
            return int(end.code or 0), said.getvalue()
    return 0, said.getvalue()


@pytest.fixture
async def tidegate(fleet, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "argv", sys.argv)
    monkeypatch.setenv("TIDEGATE_TOKEN", TOKEN)
    async with fleet.manager() as manager, fleet.rest(manager) as rest:
        await make_search(fleet)
        monkeypatch.setenv("TIDEGATE_SERVER", f"http://127.0.0.1:{rest._session._base_url.port}")
        yield lambda words: asyncio.to_thread(run, words)


@pytest.mark.parametrize("kind", DOCUMENTS)
async def test_a_kind_is_written_shown_and_deleted_or_left_to_kubectl(tidegate, tmp_path: Path, kind: str):
    file = tmp_path / "one.json"
    file.write_text(json.dumps(DOCUMENTS[kind]))
    for words in WRITES:
        code, said = await tidegate([*words, "-f", str(file)])
        if kind in BY_KUBECTL:
            assert code == 2 and f"{kind} is not written by the REST API; write it with kubectl apply" in said, words
        else:
            assert code == (1 if words == ["diff"] and ("@@" in said or "# " in said) else 0), (words, said)
    word = KINDS[kind].value if kind in KINDS else kind.lower()
    one = DOCUMENTS[kind]["metadata"]["name"]
    name = f"search/{one}" if kind in ("Model", "ModelVersion", "Caller") else one
    for words in (["get", word], ["get", word, name, "-o", "yaml"], ["history", word, name], ["delete", word, name]):
        code, said = await tidegate(words)
        assert code == (2 if kind in BY_KUBECTL else 0), (words, said)
        assert kind not in BY_KUBECTL or "use kubectl" in said


@pytest.mark.parametrize("what", ODD)
async def test_what_is_no_document_ends_in_a_sentence(tidegate, tmp_path: Path, what: str):
    file = tmp_path / "one.json"
    file.write_text(json.dumps(ODD[what]))
    for words in WRITES:
        code, said = await tidegate([*words, "-f", str(file)])
        if what in ("an empty list", "an override without a namespace"):
            assert code in (0, 1, 2), (words, said)
        else:
            assert code == 2 and said, (words, said)


@pytest.mark.parametrize("words", OFFLINE, ids=" ".join)
@pytest.mark.parametrize("what", [*DOCUMENTS, *ODD])
def test_a_command_without_a_manager_works_or_ends_in_a_sentence(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, what: str, words: list[str]
):
    monkeypatch.setattr(sys, "argv", sys.argv)
    file = tmp_path / "one.json"
    file.write_text(json.dumps({**DOCUMENTS, **ODD}[what]))
    code, said = run([*words, "-f", str(file)])
    assert code in (0, 1, 2) and (said or code == 0), (words, said)


async def test_nothing_is_written_where_one_document_cannot_be(tidegate, fleet, tmp_path: Path):
    (tmp_path / "all.json").write_text("\n".join(map(json.dumps, (DOCUMENTS["Tenant"], DOCUMENTS["WarmupPlan"]))))
    code, said = await tidegate(["apply", "-f", str(tmp_path)])
    assert code == 2 and "WarmupPlan search/one" in said and " created\n" not in said
    assert await fleet.get("Tenant", "one") is None
