"""Nothing is deleted by an old view of its documents."""

import dataclasses

import pytest

from istio_templates.errors import Transient
from istio_templates.facts import ObjectKey
from k8s_manager.drift.deletion_guard import DeletionGuard
from k8s_manager.kube.errors import Absent, Unavailable
from k8s_manager.world.world import Stored
from tests.k8s_manager.pipeline.test_apply import ours

MODEL, TENANT = ObjectKey("Model", "search", "ranker"), ObjectKey("Tenant", "", "search")
ROUTE = ours("VirtualService", "ranker", "search", model="ranker")


def stored(key: ObjectKey, generation: int = 3, uid: str = "u") -> Stored:
    fields = {field.name: None for field in dataclasses.fields(Stored)}
    return Stored(**{**fields, "key": key, "uid": uid, "generation": generation})


class Server:
    """An API server that has some documents, each with its generation, and notes what is read."""

    def __init__(self, **documents) -> None:
        self.documents, self.read = documents, []

    async def get(self, key):
        self.read.append(key)
        found = self.documents.get(key.kind)
        if isinstance(found, Exception):
            raise found
        if found is None:
            raise Absent(f"{key}")
        return {"kind": key.kind, "metadata": {"name": key.name, "uid": "u", "generation": found}}


def guard(server: Server, *known: Stored) -> tuple[DeletionGuard, list]:
    learnt: list = []
    return DeletionGuard(server, known, learnt.append), learnt


async def test_what_documents_as_they_are_do_not_render_may_go_and_each_is_read_once():
    server = Server(Tenant=3)
    found, learnt = guard(server, stored(TENANT))
    for obj in (ROUTE, ours("Deployment", "ranker-v1", "search", model="ranker"), ROUTE):
        await found.require_current(obj)
    assert server.read == [TENANT, MODEL] and learnt == []


@pytest.mark.parametrize(
    "known",
    [[], [stored(MODEL, 2)], [stored(MODEL, 3, "of-another")], [stored(MODEL, 9)]],
    ids=["missing", "older", "made again", "of another history"],
)
async def test_an_object_stays_while_its_document_is_another_than_the_plan_knows(known):
    found, learnt = guard(Server(Tenant=3, Model=3), stored(TENANT), *known)
    with pytest.raises(Transient, match="VirtualService search/ranker is not deleted: Model search/ranker"):
        await found.require_current(ROUTE)
    assert [obj["kind"] for obj in learnt] == ["Model"]


async def test_an_object_of_a_tenant_or_a_gateway_stays_as_well():
    found, _ = guard(Server(Tenant=1))
    with pytest.raises(Transient, match="Tenant search"):
        await found.require_current(ours("Gateway", "tenant-search", "inference-gw"))
    found, _ = guard(Server(InferenceGateway=1))
    metadata = {"name": "slot", "namespace": "inference-gw", "labels": {"tidegate.dev/gateway": "shared"}}
    with pytest.raises(Transient, match="InferenceGateway shared"):
        await found.require_current({"kind": "EnvoyFilter", "metadata": metadata})


async def test_nothing_goes_while_a_document_cannot_be_read():
    found, _ = guard(Server(Tenant=Unavailable("away")), stored(TENANT))
    with pytest.raises(Unavailable):
        await found.require_current(ROUTE)
