"""Versions from a registry of models: read, chosen by alias, released and served; in simulated time."""

import asyncio
from dataclasses import replace
from typing import Any

from istio_templates.facts import ObjectKey
from k8s_manager.release.registry.registry_answer import OddRegistryAnswer, RegistryUnavailable, RunMetric
from k8s_manager.runtime.settings import MlflowSettings
from tests.features.test_release import ROLLOUT, add_replicas, passed, serving, status, weights
from tests.support.direct_api import SETTINGS, Cluster, Fault
from tests.support.documents import model
from tests.support.registered_models import CREATED, RegistryInMemory, registered
from tests.support.served_requests import ServedRequests
from tests.support.simulated import simulate

TEMPLATE = {"like": "v1", "image": "example.com/ranker:{version}", "images": ["example.com/ranker:*"]}
BY_ALIAS = {"strategy": "manual", "alias": "champion", "coolDown": "1m", "versionTemplate": TEMPLATE}


def document(name: str = "fleet-ranker", **selection: Any) -> dict[str, Any]:
    versions = [{"name": "v1", "workload": {"replicas": 4, "image": "example.com/ranker:v1"}}]
    return model(versions=versions, rollout=ROLLOUT, selection={**BY_ALIAS, "registry": {"name": name}, **selection})


def condition(cluster: Cluster, kind: str = "RegistryRead") -> tuple[str, str, str]:
    found = next((one for one in status(cluster)["conditions"] if one["type"] == kind), {})
    return found.get("status", ""), found.get("reason", ""), found.get("message", "")


def version(cluster: Cluster, name: str) -> dict[str, Any] | None:
    return cluster.find("ModelVersion", f"ranker-{name}", "search")


def two_versions() -> RegistryInMemory:
    metrics = (RunMetric("holdout/auc", 0.91, CREATED), RunMetric("holdout/f1", float("nan"), CREATED))
    return RegistryInMemory(
        {"fleet-ranker": [registered(1), registered(2)]}, {"fleet-ranker": {"champion": 1}}, {"run-2": metrics}
    )


def run(check: Any, registry: RegistryInMemory | None) -> None:
    async def main() -> None:
        async with serving(ServedRequests(), registry=registry) as cluster:
            await check(cluster)

    simulate(main())


def test_an_alias_that_moves_brings_another_version_into_production_and_the_document_stays():
    registry = two_versions()

    async def check(cluster: Cluster) -> None:
        written = document()
        await cluster.apply(written)
        await passed(cluster, lambda: condition(cluster, "Selected")[1] == "AliasServes")
        found = version(cluster, "v2")
        assert found is not None and found["spec"]["evaluations"][0]["metric"] == "auc"
        assert (version(cluster, "v1") or {})["spec"]["aliases"] == ["champion"]
        registry.aliases["fleet-ranker"] = {"champion": 2}
        await passed(cluster, lambda: status(cluster).get("selected", {}).get("version") == "v2", 60)
        assert status(cluster)["selected"]["uri"] == "s3://models/ranker/2"
        await add_replicas(cluster, "v2")
        await passed(cluster, lambda: weights(cluster) == {"v2": 100})
        live = cluster.find("Model", "ranker", "search") or {}
        assert live["spec"]["traffic"] == written["spec"]["traffic"]
        assert live["status"]["registry"]["readUpTo"] == 2
        holds, reason, message = condition(cluster)
        assert (holds, reason) == ("True", "SomeLeftOut") and "v2 has a metric 'holdout/f1'" in message
        assert registry.calls.count("run-2") == 1
        writes = cluster.writes()
        await asyncio.sleep(300)
        assert {path for (_, path) in cluster.writes() - writes if "modelversions" in path} == set()

    run(check, registry)


def test_a_registry_that_is_away_or_lies_changes_nothing_and_the_condition_says_since_when():
    registry = two_versions()

    async def check(cluster: Cluster) -> None:
        await cluster.apply(document())
        await passed(cluster, lambda: condition(cluster)[1] == "SomeLeftOut")
        before = {name: version(cluster, name) for name in ("v1", "v2")}
        registry.error = RegistryUnavailable("/x answers 503")
        await passed(cluster, lambda: condition(cluster)[1] == "Unavailable", 60)
        assert "the last answer is of 20" in condition(cluster)[2] and "(/x answers 503)" in condition(cluster)[2]
        asked = len(registry.calls)
        await asyncio.sleep(3600)
        assert len(registry.calls) - asked <= 20
        registry.error, registry.versions["fleet-ranker"][0] = None, registered(1, "s3://elsewhere/1")
        await passed(cluster, lambda: condition(cluster)[1] == "SomeLeftOut", 400)
        assert "s3://elsewhere/1" in condition(cluster)[2]
        registry.error = OddRegistryAnswer("MLflow answers 7")
        await passed(cluster, lambda: condition(cluster)[1] == "OddAnswer", 60)
        registry.error = None
        del registry.versions["fleet-ranker"]
        await passed(cluster, lambda: condition(cluster)[1] == "NotFound", 60)
        assert "create it there, or correct the name" in condition(cluster)[2]
        for name, known in before.items():
            assert (version(cluster, name) or {})["spec"] == (known or {})["spec"]
        assert weights(cluster) == {"v1": 100} and condition(cluster, "Selected")[1] == "AliasServes"

    run(check, registry)


def test_what_could_not_be_written_is_written_soon_and_the_condition_says_so_meanwhile():
    registry = two_versions()

    async def check(cluster: Cluster) -> None:
        cluster.session.faults = [Fault("POST", r"/modelversions$", times=3, status=503)]
        await cluster.apply(document())
        await passed(cluster, lambda: condition(cluster)[1] == "NotWritten", 5)
        await passed(cluster, lambda: version(cluster, "v2") is not None, 25)
        await passed(cluster, lambda: condition(cluster)[1] == "SomeLeftOut", 5)
        asked = registry.calls.count("fleet-ranker")
        cluster.session.faults = [Fault("PUT", r"/modelversions/", times=10**6, status=503)]
        registry.aliases["fleet-ranker"] = {"champion": 2}
        await asyncio.sleep(600)
        assert registry.calls.count("fleet-ranker") - asked < 600 / 12, "in pauses that grow to the usual one"

    run(check, registry)


def test_without_a_server_the_condition_says_how_to_give_one():
    async def check(cluster: Cluster) -> None:
        await cluster.apply(document())
        await passed(cluster, lambda: condition(cluster)[1] == "NotConfigured")
        assert "--mlflow-url" in condition(cluster)[2] and weights(cluster) == {"v1": 100}
        assert "give it to one, or pin a version" in condition(cluster, "Selected")[2]

    run(check, None)


def test_a_registered_model_that_is_not_the_tenants_own_is_not_read():
    registry = two_versions()
    registry.versions["search.ranker"] = [registered(7)]
    own = replace(SETTINGS, mlflow=MlflowSettings("http://mlflow.test", names="{tenant}.*"))

    async def main() -> None:
        async with serving(ServedRequests(), own, registry=registry) as cluster:
            await cluster.apply(document())
            await passed(cluster, lambda: condition(cluster)[1] == "NotAllowed")
            assert "(--mlflow-names {tenant}.*); name another one" in condition(cluster)[2]
            await cluster.apply(document("search.ranker"))
            await passed(cluster, lambda: version(cluster, "v7") is not None)
            assert "fleet-ranker" not in registry.calls and version(cluster, "v2") is None

    simulate(main())


def test_the_next_leader_goes_on_and_does_not_make_again_what_was_deleted():
    registry = two_versions()

    async def check(cluster: Cluster) -> None:
        await cluster.apply(document())
        await passed(cluster, lambda: version(cluster, "v2") is not None and condition(cluster)[1] == "SomeLeftOut")
        await cluster.client.delete(ObjectKey("ModelVersion", "search", "ranker-v2"))
        await cluster.restart()
        registry.versions["fleet-ranker"].append(registered(3))
        await passed(cluster, lambda: version(cluster, "v3") is not None, 60)
        assert version(cluster, "v2") is None
        await passed(cluster, lambda: "1 that were deleted here stay so" in condition(cluster)[2], 60)

    run(check, registry)


def test_a_version_that_its_owner_blocks_is_not_served_whatever_the_alias_says():
    registry = two_versions()

    async def check(cluster: Cluster) -> None:
        await cluster.apply(document())
        await passed(cluster, lambda: version(cluster, "v2") is not None)
        key = ObjectKey("ModelVersion", "search", "ranker-v2")
        await cluster.client.merge(key, {"spec": {"blocked": {"reason": "empty answers"}}})
        registry.aliases["fleet-ranker"] = {"champion": 2}
        await passed(cluster, lambda: condition(cluster, "Selected")[1] == "AliasedVersionBlocked", 60)
        assert (version(cluster, "v2") or {})["spec"]["blocked"] == {"reason": "empty answers"}
        assert "selected" not in status(cluster) and weights(cluster) == {"v1": 100}
        registry.aliases["fleet-ranker"] = {}
        await passed(cluster, lambda: condition(cluster, "Selected")[1] == "NoVersionWithAlias", 60)

    run(check, registry)


def test_another_registered_model_in_the_document_is_read_at_once():
    registry = two_versions()
    registry.versions["other"] = [registered(7)]

    async def check(cluster: Cluster) -> None:
        await cluster.apply(document())
        await passed(cluster, lambda: version(cluster, "v2") is not None)
        await cluster.apply(document("other"))
        await passed(cluster, lambda: version(cluster, "v7") is not None, 10)
        await passed(cluster, lambda: "aliases" not in (version(cluster, "v1") or {})["spec"], 10)
        await cluster.apply(model(versions=document()["spec"]["versions"], rollout=ROLLOUT))
        await passed(cluster, lambda: condition(cluster)[1] == "")
        asked = len(registry.calls)
        await asyncio.sleep(300)
        assert len(registry.calls) == asked and "registry" not in status(cluster)

    run(check, registry)
