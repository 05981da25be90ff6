"""A real MLflow and a real standalone: an alias that is moved there brings a version into production, unattended."""

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import aiohttp

from tests.mlflow.server import Mlflow, mlflow
from tests.support.standalone import GATEWAY, HOST, PATH, Running, ranker, standalone
from tests.support.waiting import until

NAME = "fleet-ranker"
MODEL = "/v1/tenants/search/models/ranker"
BODY = {"inputs": [{"name": "features", "datatype": "FP32", "shape": [1, 4], "data": [0.1, 0.2, 0.3, 0.4]}]}
ROLLOUT = {
    "steps": [{"weight": 50}],
    "hold": "10s",
    "minRequests": 20,
    "checks": [{"name": "errors", "outcome": "5xx", "max": "2%"}],
}


def document() -> dict[str, Any]:
    """Return a model that runs v1 and takes what the alias points at, each as a process that knows its files."""
    found = ranker(1)
    template = {
        "like": "v1",
        "image": "example.com/ranker:{version}",
        "images": ["example.com/ranker:*"],
        "env": [{"name": "MODEL_URI", "value": "{uri}"}],
    }
    selection = {"strategy": "manual", "alias": "champion", "coolDown": "0s", "registry": {"name": NAME}}
    del found["spec"]["rateLimit"]
    return {"spec": {**found["spec"], "rollout": ROLLOUT, "selection": {**selection, "versionTemplate": template}}}


async def load(session: aiohttp.ClientSession, address: str, seen: Counter[tuple[int, str]]) -> None:
    """Send requests at a constant rate until cancelled; count their answers by the replica that gave them."""
    while True:
        async with session.post(f"http://{address}{PATH}/infer", json=BODY, headers={"Host": HOST}) as answer:
            seen[answer.status, answer.headers.get("x-replica", "")] += 1
        await asyncio.sleep(0.05)


async def condition(run: Running, kind: str) -> dict[str, Any]:
    _, found = await run.rest.call("GET", MODEL)
    return next((one for one in found["status"]["conditions"] if one["type"] == kind), {})


async def weights(run: Running) -> dict[str, int]:
    """Return the weights in the cluster's VirtualService, by version."""
    path = "/apis/networking.istio.io/v1/namespaces/search/virtualservices/ranker"
    found = await run.kubernetes(path)
    routes = found["spec"]["http"][0]["route"]
    return {one["destination"]["subset"]: one.get("weight", 100) for one in routes if one.get("weight", 100)}


async def page(run: Running) -> str:
    """Return the model's page in the console, as a person who has signed in by the link sees it."""
    async with aiohttp.ClientSession(trust_env=False, cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
        base, token = run.link.split("/console/")[0], (run.folder / "token").read_text().strip()
        fields = {"token": token, "next": "/console/tenants/search/models/ranker"}
        async with session.post(f"{base}/console/sign-in", data=fields) as answer:
            text = await answer.text()
            assert answer.status == 200, text
            return text


async def prepared(server: Mlflow, run: Running) -> str:
    """Register two versions, the first of them the champion; return the gateway's address once v1 serves."""
    await server.answers()
    await server.call("POST", "registered-models/create", {"name": NAME})
    await server.train(NAME, 1, 0.90)
    await server.train(NAME, 2, 0.93, tidegate_dataUntil="2026-11-20T00:00:00Z")
    await server.name(NAME, "champion", 1)
    await run.put("/v1/gateways/shared", {"spec": {**GATEWAY["spec"], "managed": {"replicas": 1}}})
    await run.put("/v1/tenants/search", {"spec": {"gateway": {"name": "shared"}, "hosts": [{"name": HOST}]}})
    await run.put(MODEL, document())
    (address,) = await run.gateways(1)

    async def serves() -> bool:
        return await run.serves([address])

    await until(serves, "v1 behind the gateway")
    return str(address)


async def test_an_alias_that_moves_in_mlflow_brings_the_version_into_production_unattended(tmp_path: Path):
    async with (
        mlflow(tmp_path / "mlflow") as server,
        standalone(tmp_path / "state", TIDEGATE_MLFLOW_URL=server.url, TIDEGATE_MLFLOW_EVERY="5") as run,
        aiohttp.ClientSession(trust_env=False) as session,
    ):
        address = await prepared(server, run)
        seen: Counter[tuple[int, str]] = Counter()
        calls = asyncio.create_task(load(session, address, seen))
        try:
            await _released(server, run, seen)
            await _survives_an_outage(server, run)
        finally:
            calls.cancel()
        assert {status for status, _ in seen} == {200}, seen


async def _released(server: Mlflow, run: Running, seen: Counter[tuple[int, str]]) -> None:
    async def read() -> bool:
        return (await condition(run, "Selected")).get("reason") == "AliasServes"

    await until(read, "the champion being read from MLflow, and serving")
    _, found = await run.rest.call("GET", "/v1/tenants/search/modelversions/ranker-v2")
    spec = found["spec"]
    assert (spec["uri"], spec["dataUntil"]) == (f"s3://models/{NAME}/2", "2026-11-20T00:00:00Z")
    assert spec["registry"] == {"name": NAME, "version": "2"} and "aliases" not in spec
    (auc,) = spec["evaluations"]
    assert (auc["dataset"], auc["metric"], auc["value"], auc["samples"]) == ("holdout", "auc", 0.93, 5000)
    assert (await condition(run, "RegistryRead"))["reason"] == "Read" and await weights(run) == {"v1": 100}

    await server.name(NAME, "champion", 2)

    async def released() -> bool:
        _, model = await run.rest.call("GET", MODEL)
        states = {one["type"]: one["reason"] for one in model["status"]["conditions"]}
        return await weights(run) == {"v2": 100} and states["Released"] == "Complete"

    await until(released, "v2 having all requests, after its release")
    before = Counter(seen)
    await until(lambda: (seen - before).total() >= 20, "requests after the release")
    assert all("ranker-v2" in replica for _, replica in seen - before), seen - before
    _, model = await run.rest.call("GET", MODEL)
    assert model["spec"]["traffic"] == document()["spec"]["traffic"] and len(model["spec"]["versions"]) == 1

    async def shown() -> bool:
        text = await page(run)
        return f"MLflow, {NAME} 2" in text and "champion" in text and "v2 serves and has the alias champion" in text

    await until(shown, "the console's page showing the alias, where it is from, and that it serves")


async def _survives_an_outage(server: Mlflow, run: Running) -> None:
    server.freeze()

    async def away() -> bool:
        return (await condition(run, "RegistryRead")).get("reason") == "Unavailable"

    await until(away, "the condition saying that MLflow is away")
    assert "the last answer is of" in (await condition(run, "RegistryRead"))["message"]
    assert await weights(run) == {"v2": 100} and (await condition(run, "Selected"))["reason"] == "AliasServes"
    server.freeze(False)
    await server.train(NAME, 3, 0.95)

    async def read() -> bool:
        status, _ = await run.rest.call("GET", "/v1/tenants/search/modelversions/ranker-v3")
        return status == 200 and (await condition(run, "RegistryRead"))["reason"] == "Read"

    await until(read, "what was registered after the outage")
