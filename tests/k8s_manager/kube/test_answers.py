"""An answer of the API server that is none, whatever its status, is tried again and ends nothing."""

import asyncio

import pytest

from istio_templates.facts import ObjectKey
from k8s_manager.kube.answers import event_in, page_in
from k8s_manager.kube.client import KubeClient
from k8s_manager.kube.errors import Unavailable
from k8s_manager.kube.resources import RESOURCES
from tests.support.direct_api import SERVER, DirectSession, Fault, managed
from tests.support.documents import gateway, model, tenant
from tests.support.simulated import simulate

POD = {"kind": "Pod", "metadata": {"name": "a", "namespace": "default", "uid": "u", "resourceVersion": "1"}}
KEY = ObjectKey("Pod", "default", "a")
BODIES = {
    "nothing": b"",
    "null": b"null",
    "a number": b"7",
    "a list": b"[]",
    "a text": b'"ok"',
    "a page": b"<html><body>it works</body></html>",
    "half an object": b'{"kind": "Pod", "metadata": {"na',
    "no metadata": b'{"kind": "Pod"}',
    "metadata that are a text": b'{"kind": "Pod", "metadata": "x"}',
    "another object": b'{"kind": "Pod", "metadata": {"name": "b", "namespace": "default", "uid": "u", "resourceVersion": "1"}}',
    "another kind": b'{"kind": "Service", "metadata": {"name": "a", "namespace": "default", "uid": "u", "resourceVersion": "1"}}',
    "no version": b'{"kind": "Pod", "metadata": {"name": "a", "namespace": "default", "uid": "u"}}',
    "a version that is a number": b'{"kind": "Pod", "metadata": {"name": "a", "namespace": "default", "uid": "u", "resourceVersion": 1}}',
}
CALLS = {
    "get": lambda client: client.get(KEY),
    "apply": lambda client: client.apply(POD, force=True),
    "merge": lambda client: client.merge(KEY, {}),
    "strategic": lambda client: client.strategic(KEY, {}, "status"),
    "replace": lambda client: client.replace(POD),
    "list": lambda client: client.list(RESOURCES["Pod"]),
}
VERBS = {"get": "GET", "list": "GET", "replace": "PUT"}


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("call", CALLS)
def test_an_answer_that_is_no_object_is_none(call, body):
    async def main():
        session = DirectSession()
        session.faults = [Fault(VERBS.get(call, "PATCH"), "pods", status=200, body=BODIES[body])]
        with pytest.raises(Unavailable, match="cannot be used"):
            await CALLS[call](KubeClient(SERVER, session))

    simulate(main())


@pytest.mark.parametrize(
    "page",
    [
        {"metadata": {"resourceVersion": "1"}},
        {"items": {}, "metadata": {"resourceVersion": "1"}},
        {"items": "x", "metadata": {"resourceVersion": "1"}},
        {"items": []},
        {"items": [], "metadata": {}},
        {"items": [], "metadata": {"resourceVersion": 7}},
        {"items": [], "metadata": None},
    ],
)
def test_a_list_that_is_none_is_tried_again(page):
    with pytest.raises(Unavailable, match="it is no list"):
        page_in(page, "list pods", RESOURCES["Pod"])


def test_items_that_are_no_objects_are_left_out_of_a_list():
    items = [None, 7, "x", [], {}, {"metadata": None}, {"metadata": {"name": 3}}, POD]
    found, version, following = page_in({"items": items, "metadata": {"resourceVersion": "9"}}, "x", RESOURCES["Pod"])
    assert [obj["metadata"]["name"] for obj in found] == ["a"] and (version, following) == ("9", "")
    assert page_in({"items": None, "metadata": {"resourceVersion": "9"}}, "x", RESOURCES["Pod"])[0] == []


@pytest.mark.parametrize(
    "event",
    [
        None,
        7,
        {},
        {"type": "ADDED"},
        {"type": "ADDED", "object": []},
        {"type": "ADDED", "object": {"metadata": {}}},
        {"type": 3, "object": POD},
        {"type": "BOOKMARK", "object": {"metadata": None}},
        {"type": "ERROR", "object": {"code": "x"}},
        {"type": "ERROR", "object": {"message": [], "details": "x"}},
    ],
)
def test_an_event_that_cannot_be_read_ends_its_watch_only(event):
    with pytest.raises(Unavailable):
        event_in(event, "watch pods")


def test_a_list_without_an_end_has_one():
    async def main():
        session = DirectSession()
        endless = b'{"items": [], "metadata": {"resourceVersion": "1", "continue": "more"}}'
        session.faults = [Fault("GET", "pods", times=10**6, status=200, body=endless)]
        with pytest.raises(Unavailable, match="pages"):
            await KubeClient(SERVER, session).list(RESOURCES["Pod"])

    simulate(main())


@pytest.mark.parametrize("verb", ["GET", "PATCH", "POST", "DELETE", "WATCH", "PUT"])
@pytest.mark.parametrize("body", ["a page", "a list", "half an object", "metadata that are a text", "nothing"])
def test_no_answer_ends_the_manager_and_it_goes_on_when_they_are_right_again(verb, body):
    async def main():
        async with managed() as cluster:
            cluster.session.faults = [Fault(verb, ".", times=40, status=200, body=BODIES[body])]
            await cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "inference-gw"}})
            await cluster.apply(gateway(), tenant())
            await asyncio.sleep(200)
            await cluster.apply(model())
            await asyncio.sleep(60)
            conditions = (cluster.find("Model", "ranker", "search") or {}).get("status", {}).get("conditions", [])
            assert ("Accepted", "True") in {(c["type"], c["status"]) for c in conditions}

    simulate(main())
