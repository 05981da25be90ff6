"""The commands around warm-up, as people call them."""

import json
from datetime import UTC, datetime

import pytest
import yaml

from istio_templates.facts import ObjectKey
from tests.features.test_cli import server, tidegate
from tests.features.test_warmup import Replica, setup
from tests.support.documents import labels, model
from tests.support.model_server import Cold, model_server
from tests.support.waiting import until
from tests.warmup.plans import plan

__all__ = ["server"]


@pytest.fixture
def file(tmp_path):
    def write(document):
        place = tmp_path / "plan.yaml"
        place.write_text(yaml.safe_dump(document))
        return str(place)

    return write


async def test_a_plan_is_checked_without_a_server(file):
    code, out, _ = await tidegate("warmup", "check", file(plan()))
    assert code == 0
    assert "/v2/models/model/infer" in out and "The plan is good. Its name is " in out
    whole = model(warmup={"plan": plan()})
    code, out, _ = await tidegate("warmup", "check", file(whole), "-o", "json")
    assert [(call["case"], call["batch"]) for call in json.loads(out)["calls"]] == [("typical", 1), ("typical", 8)]
    assert json.loads(out)["model"] == "ranker"


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (plan(target={"protocol": "soap", "port": 1}), "target.protocol: 'soap' is not allowed"),
        (plan(cases=[{"name": "a", "inputs": {"x": {"dtype": "INT8", "shape": [1], "generator": {"values": [999]}}}}]), "cases[0].inputs: x: its values do not fit INT8"),
        (plan(cases=[{"name": "a", "recorded": {"file": {"configMap": "no", "key": "no"}}}]), "file no/no cannot be read"),
        ({"kind": "Model", "metadata": "abc", "spec": [1]}, "holds 0 plans; give a file with one"),
        ({"kind": "WarmupPlan", "spec": [1]}, "spec"),
        ("just words", "holds a str where a document is expected"),
    ],
)  # fmt: skip
async def test_what_is_wrong_is_said_and_never_a_stack_trace(file, document, said):
    code, _, error = await tidegate("warmup", "check", file(document))
    assert code == 2
    assert said in error
    assert "Traceback" not in error


async def test_a_plan_is_run_against_a_server_and_shows_each_case(file):
    async with model_server(Cold(slow_calls=3)) as port:
        words = ["--address", f"127.0.0.1:{port}", "--model", "ranker"]
        code, out, _ = await tidegate("warmup", "run", file(plan()), *words)
        assert code == 0
        assert "is warm after" in out and out.count("passed") >= 2
        code, out, _ = await tidegate("warmup", "run", file(plan()), *words, "-o", "json")
        assert json.loads(out)["result"] == "Verified"
    async with model_server(Cold(status=400, body=b"shape mismatch")) as port:
        code, out, _ = await tidegate(
            "warmup", "run", file(plan()), "--address", f"127.0.0.1:{port}", "--model", "ranker"
        )
        assert code == 2 and "is not warm (PlanWrong)" in out and "shape mismatch" in out
    code, out, _ = await tidegate("warmup", "run", file(plan(timeout="300ms")), "--address", "127.0.0.1:9")
    assert code == 4 and "is not warm (TimedOut)" in out


async def test_a_plan_is_exported_into_a_models_folder(file, tmp_path):
    code, out, _ = await tidegate("warmup", "export", file(plan()), "--for", "triton", "--out", str(tmp_path / "m"))
    assert code == 0 and "model_warmup.pbtxt" in out
    assert (tmp_path / "m" / "model_warmup.pbtxt").read_text().startswith("model_warmup [")
    code, out, _ = await tidegate("warmup", "export", file(plan()), "--for", "tfs", "--out", str(tmp_path / "m"))
    assert (tmp_path / "m" / "assets.extra" / "tf_serving_warmup_requests").stat().st_size > 100


async def test_replicas_are_explained_and_one_without_traffic_is_measured(fleet, server, tmp_path):
    await setup(fleet, 9210)
    async with model_server(Cold(), "127.0.0.1", 0):
        first = await Replica(fleet).start()
        async with model_server(Cold(), first.address, 9210):
            await first.opens()
            code, out, _ = await tidegate("explain", "search/ranker", "--about", "ready", server=server)
            assert (
                code == 0
                and "1 of 1 replicas take requests" in out
                and f"{first.key.name} (version v1) is verified" in out
            )
            code, _, error = await tidegate("measure", "search/ranker", server=server)
            assert code == 2 and "has no replica that the traffic could do without" in error
            second = await Replica(fleet).start()
            async with model_server(Cold(), second.address, 9210):
                await second.opens()
                picture = tmp_path / "curve.svg"
                quick = ["--most", "40", "--hold", "0.5", "--first", "20", "--target", "500ms"]

                async def measured():
                    words = ["measure", "search/ranker", *quick, "--svg", str(picture), "-o", "json"]
                    code, out, _ = await tidegate(*words, server=server)
                    return code == 0 and json.loads(out)

                told = await until(measured, "both replicas being ready")
                key = ObjectKey("Lease", "tidegate-system", "measure.search.ranker")
                assert (await fleet.client.get(key))["spec"]["holderIdentity"] == ""
                now = datetime.now(UTC).isoformat()
                theirs = {"holderIdentity": "b" * 16, "leaseDurationSeconds": 60, "renewTime": now}
                await fleet.client.merge(key, {"spec": theirs})
                code, _, error = await tidegate("measure", "search/ranker", server=server)
                assert code == 2 and "another measurement runs" in error
    assert told["perReplicaQps"] == 36
    assert [step["offered"] for step in told["curve"]] == [20, 30, 40]
    assert picture.read_text().startswith("<svg")


async def test_traffic_is_moved_and_a_model_paused_by_the_same_words(fleet, server):
    await setup(fleet, 9211, mode="none")
    await fleet.pod("search", labels())
    code, _, error = await tidegate("traffic", "search/ranker", "v1", server=server)
    assert code == 2 and "'v1' is no share; write VERSION=PER CENT" in error
    code, out, _ = await tidegate("traffic", "search/ranker", "v1=100", server=server)
    assert (code, out) == (0, "search/ranker: v1 100 %\n")
    code, out, _ = await tidegate("pause", "search/ranker", "--reason", "being checked", server=server)
    assert (code, out) == (0, "search/ranker is paused: being checked\n")
    await until(lambda: _paused(fleet), what="the model being paused")
    code, out, _ = await tidegate("resume", "search/ranker", server=server)
    assert (code, out) == (0, "search/ranker is served again\n")


async def _paused(fleet):
    return (await fleet.condition("Model", "ranker", "Ready", "search")).get("reason") == "Paused"
