"""A real Envoy loads what comes of every golden case: CRD schemas do not look inside an EnvoyFilter's value."""

import asyncio

import aiohttp
import pytest

from k8s_manager.standalone.translator.snapshot import EXTENSION, LISTENER, ROUTE, Snapshot, snapshot
from tests.golden.case import CASES, rendered
from tests.support.envoy import ENVOYS, EnvoyUnderTest, config_of, running_envoy
from tests.support.waiting import until


def snapshots(case: str, envoy: EnvoyUnderTest) -> list[Snapshot]:
    """Return what each gateway of a case runs."""
    objects = rendered(case)
    pools = {
        (obj["metadata"]["namespace"], tuple(obj["spec"]["workloadSelector"]["labels"].items()))
        for obj in objects
        if obj["kind"] == "EnvoyFilter"
    }
    config = config_of(objects)
    return [snapshot(config, envoy.pod(dict(labels), namespace)) for namespace, labels in sorted(pools)]


@pytest.mark.xdist_group("envoy")
@pytest.mark.parametrize("version", ENVOYS)
async def test_envoy_loads_every_case(version: str, tmp_path):
    async with running_envoy(tmp_path, ENVOYS[version]) as envoy:
        for case in CASES:
            for made in snapshots(case, envoy):
                await envoy.load(made)
                assert envoy.ads.rejections == [], case
                if made[LISTENER]:
                    await until(lambda made=made: has_taken(envoy, made), f"Envoy taking all resources of {case}")
                    assert envoy.ads.rejections == [], case


async def has_taken(envoy: EnvoyUnderTest, made: Snapshot) -> bool:
    """Tell whether an Envoy runs every filter and route table: it asks for them after it has its listeners."""
    loaded = await envoy.stats("extension_config_discovery.*config_reload|rds.*config_reload$")
    taken = [name for name, count in loaded.items() if count]
    return all(any(f".{name}." in place for place in taken) for name in (*made[EXTENSION], *made[ROUTE]))


@pytest.mark.xdist_group("envoy")
async def test_a_limit_that_envoy_refuses_is_reported_in_its_words(tmp_path):
    async with running_envoy(tmp_path) as envoy:
        (made,) = snapshots("http-model", envoy)
        name = next(iter(made[EXTENSION]))
        made[EXTENSION][name]["typed_config"]["token_bucket"] = {
            "max_tokens": 1,
            "tokens_per_fill": 0,
            "fill_interval": "1s",
        }
        await envoy.load(made)
        assert "TokensPerFill" in envoy.ads.rejections[0].message
    await asyncio.sleep(0)


SERVED = ["a.example.com", "A.Example.COM", "A.example.com:8080", "b.example.com", "B.EXAMPLE.com"]


@pytest.mark.xdist_group("envoy")
async def test_hosts_have_no_case_also_where_there_are_several(tmp_path):
    """Several hosts are told apart by an expression, which Envoy compares with case unless it says otherwise."""
    async with running_envoy(tmp_path) as envoy, aiohttp.ClientSession(trust_env=False) as session:
        (made,) = snapshots("two-hosts", envoy)
        await envoy.load(made)

        async def answer(host: str, path: str) -> int:
            url = f"http://{envoy.address}:8080{path}"
            async with session.get(url, headers={"Host": host}) as response:
                return response.status

        for host in SERVED:
            own, other = ("/a", "/b") if host[0] in "aA" else ("/b", "/a")
            assert await answer(host, own) in (429, 503), f"{host} is routed, to a model without a pod"
            assert await answer(host, other) == 404, host
