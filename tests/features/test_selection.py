"""Selection: the status of a model says which version should serve; others are tried without writing anything."""

import asyncio
import time
from dataclasses import replace
from functools import partial

import pytest
from typer.testing import CliRunner

from collectors.access_log.rows import RowPlace
from k8s_manager.cli.main import build
from tests.features.conftest import make_search
from tests.support.documents import gateway, model
from tests.support.fake_collector import FakeCollector, stats_row
from tests.support.fleet import SETTINGS, TOKEN
from tests.support.serving import serving
from tests.support.waiting import until

REGISTRY = "/v1/tenants/search/modelversions"
SELECTION = "/v1/tenants/search/models/ranker/selection"


def version(name: str, day: int) -> dict:
    image, until_ = f"example.com/ranker:{name}", f"2026-10-{day:02d}T00:00:00Z"
    return {"model": "ranker", "version": name, "image": image, "dataUntil": until_}


@pytest.fixture
async def rest(fleet):
    async with fleet.manager() as manager, fleet.rest(manager) as calls:
        await make_search(fleet)
        for name, day in (("v1", 1), ("v2", 20)):
            assert (await calls.call("POST", REGISTRY, version(name, day)))[0] == 201
        yield calls


async def test_a_choice_stands_in_the_status_with_its_evidence_and_moves_nothing(fleet, rest):
    _, answer = await rest.call("GET", SELECTION)
    assert answer["selection"] is None and "has no selection" in answer["explanation"][0]
    await fleet.apply(model(selection={"strategy": "dataDriven"}))

    async def chosen() -> bool:
        return (await fleet.condition("Model", "ranker", "Selected", "search")).get("reason") == "Chosen"

    await until(chosen, what="the choice")
    status = await fleet.status("Model", "ranker", "search")
    assert (status["selection"]["from"], status["selection"]["to"]) == ("v1", "v2")
    _, answer = await rest.call("GET", SELECTION)
    assert answer["selection"]["notBefore"] == status["selection"]["notBefore"]
    await rest.call("PUT", f"{REGISTRY}/ranker-v2/block", {"reason": "empty answers"})

    async def rejected() -> bool:
        found = await fleet.condition("Model", "ranker", "Selected", "search")
        return (found.get("status"), found.get("reason")) == ("True", "NoEligibleVersion")

    await until(rejected, what="the block being followed")
    status = await fleet.status("Model", "ranker", "search")
    assert "to" not in status["selection"] and "empty answers" in status["selection"]["rejected"][0]["why"]
    live = await fleet.get("Model", "ranker", "search")
    assert live["spec"]["traffic"] == model()["spec"]["traffic"]
    await fleet.apply(model())

    async def gone() -> bool:
        return "selection" not in await fleet.status("Model", "ranker", "search")

    await until(gone, what="the end of the selection")


async def test_live_errors_of_the_served_version_bring_another_one_and_nothing_known_brings_none(fleet):
    place = RowPlace("version", tenant="search", model="ranker", version="v1")
    minute = int(time.time()) // 60 * 60
    rows = [stats_row(place, minute - 60 * back, (50,) * 200, ok=150, serverError=50) for back in range(1, 30)]
    collector = FakeCollector()
    limits = [{"live": "errors", "max": "5%"}]
    async with serving("/rows", collector.answer) as port:
        settings = replace(SETTINGS, collectors_url=f"http://127.0.0.1:{port}")
        async with fleet.manager(settings) as manager, fleet.rest(manager) as calls:
            await make_search(fleet)
            await fleet.apply(gateway(accessLog={"mode": "json"}))
            found = {**version("v2", 20), "errors": 0.01}
            assert (await calls.call("POST", REGISTRY, found))[0] == 201
            await fleet.apply(model(selection={"strategy": "threshold", "limits": limits, "for": "10m"}))

            async def reads(reason: str) -> bool:
                condition = await fleet.condition("Model", "ranker", "Selected", "search")
                return condition.get("reason") == reason

            await until(partial(reads, "FiguresMissing"), what="nothing being known")
            collector.rows = tuple(rows)
            await manager.loops.live.once()
            manager.loops.main.trigger.set()
            await until(partial(reads, "Chosen"), what="the choice")
            status = await fleet.status("Model", "ranker", "search")
            assert status["selection"]["to"] == "v2"
            assert "v1 is beyond errors <= 0.05 since" in status["selection"]["evidence"][0]
            _, answer = await calls.call("GET", SELECTION)
            assert answer["selection"]["evidence"] == status["selection"]["evidence"]


async def test_another_strategy_is_tried_and_nothing_is_written(fleet, rest):
    before = await fleet.get("Model", "ranker", "search")
    status, answer = await rest.call("POST", SELECTION, {"strategy": "dataDriven"})
    assert (status, answer["selection"]["to"]) == (200, "v2")
    status, answer = await rest.call("POST", SELECTION, {"strategy": "dataDriven", "minDelta": 1})
    assert status == 422
    assert (await fleet.get("Model", "ranker", "search"))["spec"] == before["spec"]


async def test_the_command_line_explains_and_tries(rest, tmp_path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TIDEGATE_TOKEN", TOKEN)
    monkeypatch.setenv("TIDEGATE_SERVER", f"http://127.0.0.1:{rest._session._base_url.port}")

    async def tidegate(*words: str) -> tuple[int, str]:
        done = await asyncio.to_thread(CliRunner().invoke, build(words), words)
        return done.exit_code, done.output

    code, said = await tidegate("selection", "explain", "search/ranker")
    assert code == 0 and "has no selection" in said
    code, said = await tidegate("selection", "dry-run", "search/ranker", "--strategy", "dataDriven")
    assert code == 0 and "v2 should serve instead of v1" in said
    file = tmp_path / "selection.yaml"
    file.write_text("strategy: accuracyDriven\nmetric: {name: auc, dataset: holdout}\n")
    code, said = await tidegate("selection", "dry-run", "search/ranker", "--selection", str(file))
    assert code == 0 and "Version v2 has no finite value of auc on holdout" in said
    for words in ((), ("--strategy", "manual", "--selection", str(file)), ("--strategy", "manual", "--metric", "auc")):
        code, said = await tidegate("selection", "dry-run", "search/ranker", *words)
        assert code == 2, said
    code, said = await tidegate("selection", "dry-run", "search/ranker", "--selection", str(tmp_path / "none.yaml"))
    assert code != 0


async def test_traffic_of_a_model_whose_selection_is_carried_out_is_not_moved_by_hand(fleet, rest):
    template = {"like": "v1", "images": ["example.com/ranker:*"]}
    selection = {"strategy": "dataDriven", "coolDown": "0s", "versionTemplate": template}
    await fleet.apply(model(selection=selection, rollout={}))

    async def selected() -> bool:
        return (await fleet.status("Model", "ranker", "search")).get("selected", {}).get("version") == "v2"

    await until(selected, what="the version being selected")
    status, answer = await rest.call(
        "PUT", "/v1/tenants/search/models/ranker/traffic", {"traffic": [{"version": "v1", "weight": 100}]}
    )
    assert status == 409 and "the selection has chosen v2 instead of v1" in str(answer)
    status, answer = await rest.call("GET", "/v1/tenants/search/models/ranker/selection")
    assert status == 200 and answer["selection"]["strategy"] == "dataDriven"
