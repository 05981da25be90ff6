"""The command line against a running manager, and without one."""

import hashlib
import json
import re
from pathlib import Path

import pytest
import yaml

from istio_templates.names import SLOTS
from tests.features.conftest import make_search
from tests.support.command import run_command
from tests.support.documents import gateway, labels, model, tenant
from tests.support.fleet import TOKEN
from tests.support.waiting import until

SAMPLE = Path(__file__).parents[2] / "manifests" / "samples" / "search.yaml"


async def tidegate(*words: str, server: str = "http://127.0.0.1:9", stdin: str = "") -> tuple[int, str, str]:
    """Run a command; return its exit code and what it printed."""
    environment = {"TIDEGATE_SERVER": server, "TIDEGATE_TOKEN": TOKEN, "PATH": "/usr/bin:/bin", "COLUMNS": "200"}
    return await run_command(*words, environment=environment, stdin=stdin)


@pytest.fixture
async def server(fleet):
    async with fleet.manager() as manager, fleet.rest(manager) as rest:
        yield f"http://127.0.0.1:{rest._session._base_url.port}"


async def test_documents_are_applied_shown_explained_scaled_and_deleted(fleet, server):
    text = yaml.safe_dump_all([model(), tenant(), gateway()])
    code, out, error = await tidegate("apply", "-f", "-", server=server, stdin=text)
    assert (code, error) == (0, "")
    assert out.splitlines() == [
        f"{what} created" for what in ("InferenceGateway shared", "Tenant search", "Model search/ranker")
    ]
    await fleet.pod("inference-gw", {"istio": "shared"})
    await fleet.pod("search", labels())

    async def limited():
        _, out, _ = await tidegate("limit", "search/ranker", server=server)
        return out == "search/ranker: 20/s (Capacity), 20/s on each of 1 gateway pods\n"

    await until(limited)
    code, out, _ = await tidegate("get", "model", server=server)
    assert "ranker" in out and "v1 1/2" in out and "http://search.models.example.com:8080/v2/models/ranker" in out
    code, out, _ = await tidegate("get", "model", "search/ranker", "-o", "json", server=server)
    assert json.loads(out)["spec"]["rateLimit"]["perReplicaQps"] == 20
    code, out, _ = await tidegate("explain", "search/ranker", server=server)
    assert "Together they can serve 20/s" in out and "Formula: 1 x 20 / 1 = 20/s" in out
    code, out, _ = await tidegate("events", "--no-follow", server=server)
    assert "limit is 20/s over 1 gateway pods" in out
    code, out, _ = await tidegate("autoscale", "search/ranker", "v1", "--min", "2", "--max", "4", server=server)
    assert (code, out) == (0, "search/ranker v1: 2 to 4 replicas, by demand\n")
    code, out, _ = await tidegate("autoscale", "search/ranker", "v1", "--off", server=server)
    assert (code, out) == (0, "search/ranker v1: its replicas stay as they are\n")
    code, _, said = await tidegate("autoscale", "search/ranker", "v1", server=server)
    assert code == 2 and "--max" in said and "--off" in said
    code, out, _ = await tidegate("scale", "search/ranker", "v1", "3", server=server)
    assert (code, out) == (0, "search/ranker v1: 3 replicas\n")
    code, out, _ = await tidegate("apply", "--dry-run", "-f", "-", server=server, stdin=yaml.safe_dump(model()))
    assert "update Deployment search/ranker-v1" in out and "+  replicas: 2" in out
    code, _, error = await tidegate("delete", "tenant", "search", server=server)
    assert code == 2 and "cascade" in error
    code, out, _ = await tidegate("delete", "tenant", "search", "--cascade", server=server)
    assert (code, out) == (0, "Model search/ranker is being deleted\nTenant search is being deleted\n")


async def test_a_limit_in_shadow_is_marked_in_the_table(fleet, server):
    await make_search(fleet)
    await fleet.pod("inference-gw", {"istio": "shared"})
    await fleet.apply({**model(), "spec": {**model()["spec"], "rateLimit": {"perReplicaQps": 20, "mode": "shadow"}}})

    async def marked():
        _, out, _ = await tidegate("get", "model", server=server)
        return "1/s (shadow)" in out

    await until(marked, "the mark")


async def test_trouble_is_shown_in_sentences(fleet, server):
    await make_search(fleet)
    code, out, _ = await tidegate("get", "model", server=server)
    assert code == 0 and "NoReadyReplica" in out
    assert "ranker: Ready: version v1 has traffic but no ready replica; scale it up, or check its pods" in out


async def test_a_wrong_document_is_refused_with_its_field_before_anything_is_sent():
    code, _, error = await tidegate("apply", "-f", "-", stdin=yaml.safe_dump({**model(), "spec": {"rutes": []}}))
    assert code == 2
    assert "spec.rutes: is unknown; did you mean routes?" in error and "Traceback" not in error


async def test_broken_yaml_in_a_file_is_named_by_file_line_and_column(tmp_path):
    (tmp_path / "a.yaml").write_text("kind: [\n")
    code, _, error = await tidegate("render", "-f", str(tmp_path))
    assert code == 2 and "a.yaml" in error and "line 2" in error and "Traceback" not in error


async def test_a_manager_that_does_not_answer_is_named():
    code, _, error = await tidegate("get", "tenant")
    assert code == 3 and "no answer from http://127.0.0.1:9" in error and "Traceback" not in error


async def test_rendering_needs_no_cluster():
    code, out, _ = await tidegate("render", "-f", str(SAMPLE))
    kinds = [obj["kind"] for obj in yaml.safe_load_all(out)]
    assert code == 0
    assert kinds.count("EnvoyFilter") == SLOTS + 2 and {
        "Deployment",
        "VirtualService",
        "DestinationRule",
        "Gateway",
    } <= set(kinds)
    assert "&id" not in out


async def test_a_limit_is_tried_against_a_trace_without_a_manager(tmp_path):
    trace, settings, drawn = tmp_path / "trace.csv", tmp_path / "settings.yaml", tmp_path / "drawn.svg"
    trace.write_text("time,requests\n0,600\n5,600\n")
    settings.write_text("rateLimit: {ceiling: 30}\nreplicas: 9\n")
    words = ["simulate", "--trace", str(trace), "--gateways", "2", "--per-replica-qps", "20", "--burst", "100ms"]
    code, out, error = await tidegate(*words, "--replicas", "2", "-o", "json")
    assert (code, error) == (0, "")
    told = json.loads(out)
    assert (told["offered"], told["admitted"], told["refused"]) == (1200, 402, 798)
    code, out, _ = await tidegate(*words, "--settings", str(settings), "--picture", str(drawn))
    assert code == 0 and "30/s" in out
    assert drawn.read_text().startswith("<svg ")
    code, out, _ = await tidegate(*words, "--replicas", "2", "--autoscale", "1-9", "--warm-up", "1s", "-o", "json")
    told = json.loads(out)
    assert code == 0 and told["replicas"] == {"least": 2, "most": 2, "atEnd": 2}, "ten seconds are too short to decide"
    code, out, _ = await tidegate(
        "simulate", "--generate", "constant", "--rate", "160", "--replicas", "2", "--per-replica-qps", "20",
        "--autoscale", "2-20", "--warm-up", "10s",
    )  # fmt: skip
    assert code == 0 and re.search(r"warm replicas +2 to 10 +10 at the end", out)


TRIAL = ("--generate", "constant", "--replicas", "2", "--per-replica-qps", "20")


@pytest.mark.parametrize(
    "words, said",
    [
        (["--trace", "there-is-none.csv", "--replicas", "2", "--per-replica-qps", "20"], "there-is-none.csv"),
        (["--generate", "constant", "--replicas", "2"], "rateLimit.perReplicaQps: is missing"),
        (["--generate", "constant", "--replicas", "two", "--per-replica-qps", "20"], "write 4, or 4,30s=2"),
        (["--replicas", "2", "--per-replica-qps", "20"], "exactly one of --trace and --generate"),
        ([*TRIAL, "--autoscale", "many"], "write 2-20"),
        ([*TRIAL, "--autoscale", "9-3"], "scaling.autoscale: min 9 and max 3"),
        ([*TRIAL, "--warm-up", "10s"], "scaling.autoscale: is missing"),
        ([*TRIAL, "--autoscale", "2-9", "--replicas", "2,10s=4"], "the one that it begins with"),
    ],
)
async def test_a_simulation_that_makes_no_sense_is_refused(words, said):
    code, _, error = await tidegate("simulate", *words)
    assert code == 2
    assert said in error


@pytest.mark.parametrize("words", [["--help"], ["standalone", "--help"], ["apply", "--help"], ["simulate", "--help"]])
async def test_help_teaches(words):
    code, out, _ = await tidegate(*words)
    assert code == 0 and len(out.splitlines()) > 10
    if words[0] == "standalone":
        assert "NEVER for production" in out


async def test_who_one_is_and_what_one_may_is_shown_and_tokens_are_made(fleet, server):
    grant = {"apiVersion": "tidegate.dev/v1alpha1", "kind": "AccessGrant", "metadata": {"name": "ml"}}
    text = yaml.safe_dump({**grant, "spec": {"role": "viewer", "groups": ["ml"], "tenants": ["search"]}})
    code, out, error = await tidegate("apply", "-f", "-", server=server, stdin=text)
    assert (code, out, error) == (0, "AccessGrant ml created\n", "")
    code, out, _ = await tidegate("get", "grant", server=server)
    assert [*out.splitlines()[1].split()][:5] == ["ml", "viewer", "search", "-", "ml"]
    code, out, _ = await tidegate("whoami", server=server)
    assert out.splitlines() == [
        "tidegate:holder, in tidegate:masters",
        "  platformAdmin in all tenants: callers, edit, manage, operate, override, read",
    ]
    code, out, error = await tidegate("token", "ci-search", "--group", "ml")
    (entry,) = yaml.safe_load(out)
    assert entry["user"] == "ci-search" and entry["groups"] == ["ml"]
    assert entry["sha256"] == hashlib.sha256(error.split(": ")[1].strip().encode()).hexdigest()
    code, _, error = await tidegate("get", "grant", "none", server=server)
    assert code == 2 and "there is no AccessGrant none" in error


async def test_the_history_of_a_document_is_shown_compared_and_rolled_back(fleet, server):
    await make_search(fleet)
    text = yaml.safe_dump(model(rateLimit={"perReplicaQps": 33}))
    assert (await tidegate("apply", "-f", "-", "--reason", "a faster card", server=server, stdin=text))[0] == 0

    async def told():
        _, out, _ = await tidegate("history", "model", "search/ranker", server=server)
        return out.splitlines() if "a faster card" in out else None

    lines = await until(told, what="the second revision")
    assert lines[1].startswith("2 (now)") and "tidegate:holder" in lines[1] and "kubectl" in lines[2]
    _, out, _ = await tidegate("history", "model", "search/ranker", "2", "--against", "1", server=server)
    assert "+  perReplicaQps: 33" in out
    _, out, _ = await tidegate("history", "model", "search/ranker", "1", server=server)
    assert yaml.safe_load(out)["spec"]["rateLimit"]["perReplicaQps"] == 20
    code, out, _ = await tidegate("rollback", "model", "search/ranker", "1", "--dry-run", server=server)
    assert (code, out.splitlines()[0]) == (0, "model search/ranker would be as it was at revision 1")
    code, out, _ = await tidegate("rollback", "model", "search/ranker", "1", server=server)
    assert (code, out) == (0, "model search/ranker is as it was at revision 1\n")
    code, _, error = await tidegate("rollback", "model", "search/ranker", "9", server=server)
    assert code == 2 and "has no revision 9" in error


async def test_a_plan_is_shown_and_only_that_is_applied(fleet, server, tmp_path):
    await make_search(fleet)
    file = tmp_path / "ranker.yaml"
    file.write_text(yaml.safe_dump(model(routes=[{"host": "search.models.example.com", "path": "/new", "port": 8080}])))
    code, out, _ = await tidegate("plan", "-f", str(file), server=server)
    lines = out.splitlines()
    assert code == 0 and lines[0] == "Model search/ranker: 1 objects change, risk medium"
    assert "  update VirtualService search/ranker (accepted)" in lines
    fingerprint = lines[-1].split()[-1]
    code, out, _ = await tidegate("diff", "-f", str(file), server=server)
    assert code == 1 and "+        prefix: /new/" in out
    code, _, error = await tidegate("apply", "-f", str(file), "--plan", "0" * 32, server=server)
    assert code == 2 and "plan the write again" in error
    code, _, error = await tidegate("apply", "-f", str(file), "--plan", "", server=server)
    assert code == 2 and "plan the write again" in error
    code, out, _ = await tidegate("apply", "-f", str(file), "--plan", fingerprint, server=server)
    assert (code, out) == (0, "Model search/ranker configured\n")
    await until(lambda: _nothing_differs(str(file), server), what="the change being there")
    code, out, _ = await tidegate("plan", "-f", str(file), "-o", "json", server=server)
    assert json.loads(out)["items"][0]["changes"] == []


async def test_documents_that_need_each_other_are_planned_as_one(fleet, server, tmp_path):
    await make_search(fleet)
    (tmp_path / "bidder.yaml").write_text(yaml.safe_dump(model("bidder", "ads")))
    (tmp_path / "tenant.yaml").write_text(yaml.safe_dump(tenant("ads")))
    code, out, error = await tidegate("plan", "-f", str(tmp_path), server=server)
    lines = out.splitlines()
    assert code == 0, error
    assert lines[0].startswith("Model ads/bidder, Tenant ads: ") and lines[0].endswith("objects change, risk medium")
    assert any(line.startswith("  create VirtualService ads/bidder") for line in lines)
    assert any(
        line.startswith("  limit of Model ads/bidder with the replicas that are warm now: none -> ") for line in lines
    )
    code, out, _ = await tidegate("diff", "-f", str(tmp_path), server=server)
    assert code == 1 and "+kind: Namespace" in out
    (tmp_path / "tenant.yaml").write_text(yaml.safe_dump(tenant("ads", hosts=[{"name": "search.models.example.com"}])))
    code, _, error = await tidegate("plan", "-f", str(tmp_path), server=server)
    assert code == 2 and "tenant.yaml, line " in error and "claimed by tenant search" in error


async def _nothing_differs(file: str, server: str) -> bool:
    return (await tidegate("diff", "-f", file, server=server))[0] == 0


async def test_hosts_are_shown_given_handed_over_and_released(fleet, server):
    await make_search(fleet)
    code, out, error = await tidegate("claims", "give", "new.example.com", "search", server=server)
    assert (code, out, error) == (0, "new.example.com is search's\n", "")
    code, out, _ = await tidegate("claims", server=server)
    assert [line.split() for line in out.splitlines()[1:]] == [
        ["new.example.com", "search", "shared", "-", "-"],
        ["search.models.example.com", "search", "shared", "/v2/models/ranker", "(ranker)", "-"],
    ]
    code, _, error = await tidegate("claims", "release", "search.models.example.com", server=server)
    assert code == 2 and "is served by search/ranker" in error
    words = ("claims", "release", "new.example.com", "--reason", "not needed")
    assert (await tidegate(*words, server=server))[:2] == (0, "new.example.com is free\n")
