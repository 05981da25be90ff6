"""Generated documents beside a real API server, Istio's webhook included: what Tidegate accepts, the server accepts."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from e2e.support.site import kubeconfig
from istio_templates.facts import Manifest
from k8s_manager.kube.client import KubeClient
from k8s_manager.kube.config import connect
from k8s_manager.kube.errors import Refused
from tests.support import near_valid
from tests.support.documents import model

AT_ONCE = 8
RECORD = Path(".e2e") / "near_valid.taken.txt"


@pytest.fixture
async def client(golden_namespaces: None) -> AsyncIterator[KubeClient]:
    async with await connect(kubeconfig()) as found:
        yield found


async def refusals(client: KubeClient, objects: list[Manifest], places: asyncio.Semaphore) -> list[str]:
    """Return what the server says against objects, in a dry run with its admission."""

    async def one(obj: Manifest) -> str:
        namespaced = {"namespace": "default"} if "namespace" in obj["metadata"] else {}
        async with places:
            try:
                await client.apply({**obj, "metadata": {**obj["metadata"], **namespaced}}, force=True, dry_run=True)
            except Refused as error:
                return f"{obj['kind']}: {error}"
        return ""

    return [said for said in await asyncio.gather(*map(one, objects)) if said]


async def test_what_tidegate_accepts_the_api_server_accepts(client: KubeClient):
    places, seen, taken = asyncio.Semaphore(AT_ONCE), Counter[str](), []
    wrong: dict[str, list[str]] = {}
    stricter: dict[str, list[str]] = {}
    for case in (*near_valid.every(), *near_valid.drawn(*near_valid.DRAWN)):
        problems, objects = near_valid.verdict(case)
        if objects is None:
            seen["not read"] += 1
            continue
        said = await refusals(client, objects, places)
        taken += [] if said else [case.name]
        seen["both refuse" if problems and said else "both accept" if not problems and not said else "differ"] += 1
        if said and not problems:
            wrong[case.name] = said
        if problems and not said:
            stricter[case.name] = problems
    RECORD.parent.mkdir(exist_ok=True)
    RECORD.write_text("".join(f"{name}\n" for name in sorted(taken)))
    print(dict(seen), *(f"stricter: {name}: {problems}" for name, problems in stricter.items()), sep="\n")
    assert wrong == {}
    assert seen["both accept"] >= 100 and seen["both refuse"] >= 100 and seen.total() >= 300
    assert len(stricter) <= len(near_valid.STRICTER) * 4, stricter
    assert set(taken) == near_valid.taken(), f"the server has changed its mind: review {RECORD} and copy it"


@pytest.mark.parametrize("place", ["headers", "requestHeaders", "responseHeaders"])
async def test_two_spellings_of_one_header_are_refused_by_the_api_server(
    installed: None, client: KubeClient, place: str
):
    same = {"X-Team": "a", "x-team": "b"}
    raw = model(namespace="default")
    raw["spec"]["routes"][0][place] = same if place == "headers" else {"set": same}
    with pytest.raises(Refused, match="the same header"):
        await client.apply(raw, force=True, dry_run=True)
