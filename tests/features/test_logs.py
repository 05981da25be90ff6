"""Logs of a model's pods through the REST API: in the order of time, as they come, bounded, for who may read them."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import aiohttp
import orjson
import pytest

from istio_templates.facts import ObjectKey
from k8s_manager.kube.client import KubeClient
from k8s_manager.kube.errors import Absent
from k8s_manager.statistics import pod_logs
from tests.features.conftest import make_search
from tests.features.test_access import GRANTS, made
from tests.support.documents import labels
from tests.support.fleet import TOKEN, Fleet, Rest
from tests.support.waiting import until

LOGS = "/v1/tenants/search/models/ranker/logs"


class WrittenLogs(KubeClient):
    """A client whose logs are what the test writes; a pod without one answers 404."""

    written: dict[str, list[bytes]]
    asked: list[Mapping[str, str]]
    ends = False
    """Whether a stream ends behind what is written, as that of a quiet container does."""

    async def pod_log(self, pod: ObjectKey, query: Mapping[str, str]) -> AsyncIterator[bytes]:
        self.asked.append(query)
        if pod.name not in self.written:
            raise Absent(f"log of {pod}: the container waits to start")
        given = 0
        while True:
            for piece in self.written[pod.name][given:]:
                given += 1
                yield piece
            if query["follow"] == "false" or self.ends:
                return
            await asyncio.sleep(0.02)


@asynccontextmanager
async def api(fleet: Fleet, *proofs: object) -> AsyncIterator[tuple[Rest, WrittenLogs, list[str]]]:
    clients: list[WrittenLogs] = []

    def connect(server: str, session: aiohttp.ClientSession) -> KubeClient:
        clients.append(WrittenLogs(server, session))
        clients[0].written, clients[0].asked = {}, []
        return clients[0]

    async with fleet.manager(connect=connect) as manager, fleet.rest(manager, *proofs) as rest:  # type: ignore[arg-type]
        await make_search(fleet)
        pods = [(await fleet.pod("search", labels())).name for _ in range(2)]
        await until(lambda: _has_pods(rest, 2), "the pods being seen")
        yield rest, clients[0], pods


async def _has_pods(rest: Rest, count: int) -> bool:
    _, found = await rest.call("GET", "/v1/tenants/search/models/ranker/objects")
    return len(found["pods"]) == count


async def test_lines_of_all_pods_are_in_the_order_of_time(fleet: Fleet) -> None:
    async with api(fleet) as (rest, logs, (one, two)):
        logs.written = {
            one: [b"2026-11-29T12:00:01.5Z first\n2026-11-29T12:00:03Z thi", b"rd\n"],
            two: [b"2026-11-29T12:00:02Z second\nwithout a moment\n2026-11-29T12:00:04Z \xff\n"],
        }
        status, found = await rest.call("GET", LOGS + "?tail=5&since=60&container=model")
        assert status == 200
        stamped = [line for line in found["items"] if line["time"]]
        assert [(line["pod"], line["line"]) for line in stamped] == [
            (one, "first"),
            (two, "second"),
            (one, "third"),
            (two, "\ufffd"),
        ]
        assert [line["line"] for line in found["items"] if not line["time"]] == ["without a moment"]
        asked = logs.asked[-1]
        assert (asked["tailLines"], asked["sinceSeconds"], asked["container"]) == ("5", "60", "model")
        assert "previous" not in asked


@pytest.mark.parametrize("query", ["", "?follow=true"])
async def test_a_model_that_is_none_has_no_logs(fleet: Fleet, query: str) -> None:
    async with api(fleet) as (rest, logs, _):
        status, found = await rest.call("GET", f"/v1/tenants/search/models/absent/logs{query}")
        assert (status, logs.asked) == (404, []) and "search/absent" in found["detail"]


async def test_of_a_long_log_the_newest_lines_are_read(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pod_logs, "MOST_BYTES", 2 * 120)
    async with api(fleet) as (rest, logs, (one, two)):
        written = [f"2026-11-29T12:00:{second:02}Z {second}".encode() for second in range(50)]
        logs.written = {one: [b"\n".join(written) + b"\n"], two: []}
        _, found = await rest.call("GET", LOGS)
        assert [line["line"] for line in found["items"]] == ["45", "46", "47", "48", "49"]


async def test_a_pod_that_starts_later_is_followed_and_no_line_comes_twice(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pod_logs, "LOOK", 0.05)
    async with api(fleet) as (rest, logs, (one, two)):
        logs.written, logs.ends = {one: [b"2026-11-29T12:00:01Z first\n"]}, True
        following = asyncio.create_task(lines_of(rest, 4))
        await until(lambda: len(logs.asked) >= 6, "the pods being read again")
        logs.written[one].append(b"2026-11-29T12:00:02Z second\n")
        logs.written[two] = [b"2026-11-29T12:00:03Z started\n"]
        found = await following
        assert sorted(line["line"] for line in found if "line" in line) == ["first", "second", "started"]
        assert [line["pod"] for line in found if "problem" in line] == [two]


async def test_a_pod_that_cannot_be_read_says_why_and_the_others_are_read(fleet: Fleet) -> None:
    async with api(fleet) as (rest, logs, (one, two)):
        logs.written = {one: [b"2026-11-29T12:00:01Z here\n"]}
        _, found = await rest.call("GET", LOGS)
        problems = {line["pod"]: line["problem"] for line in found["items"] if "problem" in line}
        assert problems.keys() == {two} and "waits to start" in problems[two]
        assert [line["line"] for line in found["items"] if "line" in line] == ["here"]


async def lines_of(rest: Rest, count: int) -> list[dict[str, str]]:
    """Follow until so many lines have come."""
    found: list[dict[str, str]] = []
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with rest._session.get(LOGS + "?follow=true", headers=headers) as answer:
        assert answer.status == 200 and answer.content_type == "text/event-stream"
        async for line in answer.content:
            if line.startswith(b"data: "):
                found.append(orjson.loads(line[6:]))
            if len(found) == count:
                return found
    return found


async def test_what_is_followed_comes_as_it_is_written_and_from_pods_that_come(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pod_logs, "LOOK", 0.05)
    async with api(fleet) as (rest, logs, (one, two)):
        logs.written = {one: [b"2026-11-29T12:00:01Z before\n"], two: []}
        following = asyncio.create_task(lines_of(rest, 3))
        await until(lambda: len(logs.asked) >= 2, "both pods being followed")
        logs.written[two].append(b"2026-11-29T12:00:02Z while\n")
        logs.written["pod-3"] = [b"2026-11-29T12:00:03Z from a new one\n"]
        assert (await fleet.pod("search", labels())).name == "pod-3"
        assert {line["line"] for line in await following} == {"before", "while", "from a new one"}


async def test_only_so_many_follow_at_once_and_who_leaves_makes_room(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pod_logs, "MOST_FOLLOWERS", 1)
    async with api(fleet) as (rest, logs, (one, two)):
        logs.written = {one: [b"2026-11-29T12:00:01Z here\n"], two: []}
        following = asyncio.create_task(lines_of(rest, 2))
        await until(lambda: len(logs.asked) >= 2, "one who follows")
        status, found = await rest.call("GET", LOGS + "?follow=true")
        assert status == 503 and "end one" in found["detail"], "the second is sent away"
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        await until(lambda: _has_room(rest), "room for another")


async def _has_room(rest: Rest) -> bool:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with rest._session.get(LOGS + "?follow=true", headers=headers) as answer:
        return answer.status == 200


async def test_too_many_pods_are_not_read_at_once(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pod_logs, "MOST_PODS", 1)
    async with api(fleet) as (rest, logs, (one, _)):
        logs.written = {one: [b"2026-11-29T12:00:01Z here\n"]}
        status, found = await rest.call("GET", LOGS)
        assert status == 422 and "at most 1" in found["detail"]
        status, found = await rest.call("GET", f"{LOGS}?pod={one}")
        assert status == 200 and [line["line"] for line in found["items"]] == ["here"]


async def test_another_tenants_logs_are_not_there(fleet: Fleet, tmp_path) -> None:
    grant = {"apiVersion": "tidegate.dev/v1alpha1", "kind": "AccessGrant", "metadata": {"name": "viewer"}}
    spec = {**GRANTS["viewer"], "tenants": ["ads"]}
    async with api(fleet, made(tmp_path, viewer=[])) as (rest, logs, _):
        await fleet.apply({**grant, "spec": spec})
        for query in ("", "?follow=true"):
            status, found = await rest.call("GET", LOGS + query, headers={"Authorization": "Bearer as-viewer"})
            assert status in (403, 404) and not logs.asked, found


@pytest.mark.parametrize("query", ["tail=-1", "tail=10001", "since=0", "container=a/../b", "follow=perhaps"])
async def test_what_cannot_be_asked_is_refused(fleet: Fleet, query: str) -> None:
    async with api(fleet) as (rest, logs, _):
        assert (await rest.call("GET", f"{LOGS}?{query}"))[0] == 422 and not logs.asked
