"""The REST API says what became of requests, from all collectors together, to who may know it."""

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from collectors.access_log.engine import Engine
from collectors.access_log.identity import KnownRoutes
from collectors.access_log.rows import StatsRow
from collectors.request_statistics.series import MINUTE
from k8s_manager.api.authn.authenticators import Authenticators
from k8s_manager.api.authn.own_token import Token
from k8s_manager.api.listener.server import serve
from k8s_manager.collector.collector import Collector
from k8s_manager.collector.process import application
from k8s_manager.collector.row_endpoint import RowReaders
from k8s_manager.collector.sinks.parquet_sink import ParquetSink
from k8s_manager.runtime.clock import SystemClock
from k8s_manager.statistics.stats_query import counted_minute
from tests.collectors.access_log.lines import LIMITED, at_level, line
from tests.features.conftest import make_search
from tests.features.test_access import GRANTS, made
from tests.support.command import run_command
from tests.support.documents import labels, tenant
from tests.support.fake_collector import FakeCollector
from tests.support.fleet import SETTINGS, Fleet, Rest
from tests.support.fleet import TOKEN as API_TOKEN
from tests.support.serving import serving
from tests.support.standalone import free_port
from tests.support.waiting import until

TOKEN = "of-the-collectors"
MODEL = "/v1/tenants/search/models/ranker"


@asynccontextmanager
async def collector_on(fleet: Fleet, host: str, port: int, **lines: list[bytes]) -> AsyncIterator[Collector]:
    """Serve a collector that has read lines of some gateway pods an hour long."""
    collector = Collector(fleet.client, SystemClock())
    collector._since = 0
    for pod, read in lines.items():
        collector._keep(collector.engine.feed(f"gw/{pod}", read))
    async with served(collector, host, port):
        yield collector


@asynccontextmanager
async def served(collector: Collector, host: str, port: int) -> AsyncIterator[None]:
    """Serve a collector's rows."""
    stop, readers = asyncio.Event(), RowReaders(Authenticators([Token(TOKEN)]), ())
    serving = asyncio.create_task(serve(application(collector, readers), (host, port), stop))
    try:
        yield
    finally:
        stop.set()
        await serving


def requests(ago: float, **values: object) -> bytes:
    return line(time.time() - ago, **values)  # type: ignore[arg-type]


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    file = tmp_path / "token"
    file.write_text(TOKEN + "\n")
    return file


@asynccontextmanager
async def api(fleet: Fleet, token_file: Path | None, port: int) -> AsyncIterator[Rest]:
    settings = replace(SETTINGS, collectors_url=f"http://127.0.0.1:{port}", collectors_token_file=token_file)
    async with fleet.manager(settings) as manager, fleet.rest(manager) as rest:
        await make_search(fleet)
        await fleet.apply(tenant("ads"))
        await until(lambda: _is_there(rest), "the documents being read")
        yield rest


async def _is_there(rest: Rest) -> bool:
    return (await rest.call("GET", "/v1/tenants/ads"))[0] == 200


async def test_requests_are_counted_by_model_version_outcome_and_gateway(fleet: Fleet, token_file: Path) -> None:
    port = free_port()
    lines = [
        requests(40),
        requests(40, **LIMITED),
        requests(39, status=503),
        requests(39, tenant="ads", model="bidder"),
    ]
    async with collector_on(fleet, "127.0.0.1", port, a=lines, b=[requests(38)]), api(fleet, token_file, port) as rest:
        status, found = await rest.call("GET", f"{MODEL}/stats?step=1h")
        assert status == 200 and not found["partial"] and found["step"] == "3600s"
        assert sum(item["demand"] for item in found["items"]) == 4
        assert sum(item["limited"] for item in found["items"]) == 1
        assert sum(item["serverErrors"] for item in found["items"]) == 1
        assert 19 < found["items"][0]["latency"]["p99"] < 21
        _, versions = await rest.call("GET", f"{MODEL}/stats?step=1h&by=version")
        assert {item["version"] for item in versions["items"]} == {"v1"}
        _, outcomes = await rest.call("GET", f"{MODEL}/stats?step=1h&by=outcome")
        assert {i["outcome"]: i["requests"] for i in outcomes["items"]} == {"ok": 2, "limited": 1, "serverError": 1}
        _, models = await rest.call("GET", "/v1/stats?step=1h&by=model")
        assert {(i["tenant"], i["model"]): i["demand"] for i in models["items"]} == {
            ("search", "ranker"): 4,
            ("ads", "bidder"): 1,
        }
        _, own = await rest.call("GET", "/v1/tenants/ads/stats?step=1h")
        assert [item["demand"] for item in own["items"]] == [1]
        _, shared = await rest.call("GET", "/v1/gateways/shared/stats?step=1h")
        assert [item["demand"] for item in shared["items"]] == [5]
        _, everything = await rest.call("GET", "/v1/stats?step=1h")
        assert [item["demand"] for item in everything["items"]] == [5]


async def test_requests_are_counted_by_arm(fleet: Fleet, token_file: Path) -> None:
    port = free_port()
    to_v2 = {"cluster": "outbound|8080|v2|ranker.search.svc.cluster.local"}
    testers = {"route": "search.ranker.0.testers", **to_v2}
    a = [requests(40), requests(40, route="search.ranker.0~sticky"), requests(40, **testers, **LIMITED)]
    b = [
        requests(39, **testers, status=503),
        requests(39, route="search.ranker.1.beta", **to_v2),
        requests(38, **to_v2),
    ]
    async with collector_on(fleet, "127.0.0.1", port, a=a, b=b), api(fleet, token_file, port) as rest:

        async def demand(query: str, name: str = "arm") -> dict[str, int]:
            status, found = await rest.call("GET", f"{MODEL}/stats?step=1h&{query}")
            assert status == 200 and not found["gaps"], found
            sums: dict[str, int] = {}
            for item in found["items"]:
                sums[item.get(name, "")] = sums.get(item.get(name, ""), 0) + item.get("demand", item.get("requests"))
            return sums

        assert await demand("by=arm") == {"testers": 2, "beta": 1, "weights": 3}
        assert await demand("") == {"": 6} and await demand("by=version", "version") == {"v1": 2, "v2": 4}
        assert await demand("arm=testers") == {"": 2} and await demand("arm=weights") == {"": 3}
        assert await demand("by=version&arm=weights", "version") == {"v1": 2, "v2": 1}
        assert await demand("by=outcome&arm=testers", "outcome") == {"limited": 1, "serverError": 1}
        assert await demand("by=arm&arm=beta") == {"beta": 1} and await demand("arm=none") == {}


async def test_a_collector_that_knows_no_arms_is_named(fleet: Fleet, token_file: Path) -> None:
    collector, port = FakeCollector(), free_port()
    async with serving("/rows", collector.answer, port), api(fleet, token_file, port) as rest:
        _, found = await rest.call("GET", f"{MODEL}/stats?by=arm")
        assert found["partial"] and "1 of 1 collectors are of an older release" in found["gaps"][0]
        _, found = await rest.call("GET", f"{MODEL}/stats?by=version")
        assert not found["partial"]


async def test_what_a_line_says_is_there_before_its_window_has_closed(fleet: Fleet, token_file: Path) -> None:
    port = free_port()
    async with collector_on(fleet, "127.0.0.1", port) as collector, api(fleet, token_file, port) as rest:
        collector.engine.know(KnownRoutes({"search": "search"}, {}))
        collector._keep(collector.engine.feed("gw/a", [requests(0.2)]))
        assert not list(collector.series.rows(at_level("model"), 0, 2**40)), "the window is open"
        _, found = await rest.call("GET", f"{MODEL}/stats")
        assert [item["demand"] for item in found["items"]] == [1]
        collector._keep(collector.engine.end("gw/a"))
        _, found = await rest.call("GET", f"{MODEL}/stats")
        assert [item["demand"] for item in found["items"]] == [1], "once, also where the row is kept"


async def test_a_collector_that_does_not_answer_makes_statistics_partial_and_not_wrong(
    fleet: Fleet, token_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()
    addresses = [(2, 1, 6, "", (host, port)) for host in ("127.0.0.1", "127.0.0.2", "127.0.0.3")]

    async def found_at(_: object, *__: object, **___: object) -> list[tuple[int, int, int, str, tuple[str, int]]]:
        return addresses

    async with (
        collector_on(fleet, "127.0.0.1", port, a=[requests(40)]),
        collector_on(fleet, "127.0.0.2", port, b=[requests(40), requests(40)]),
        api(fleet, token_file, port) as rest,
    ):
        monkeypatch.setattr(type(asyncio.get_running_loop()), "getaddrinfo", found_at, raising=False)
        _, answer = await rest.call("GET", f"{MODEL}/stats?step=1h")
    assert [item["demand"] for item in answer["items"]] == [3]
    assert answer["partial"] and answer["gaps"] == ["1 of 3 collectors do not answer"]


async def test_without_a_collector_it_says_what_to_do(fleet: Fleet, token_file: Path) -> None:
    async with api(fleet, token_file, free_port()) as rest:
        status, answer = await rest.call("GET", f"{MODEL}/stats")
        assert status == 503 and "none of 1 collectors answers" in answer["detail"]
    async with fleet.manager() as manager, fleet.rest(manager) as rest:
        status, answer = await rest.call("GET", f"{MODEL}/stats")
        assert status == 404 and "--collectors" in answer["detail"]


async def test_a_wrong_token_reads_nothing(fleet: Fleet, tmp_path: Path) -> None:
    wrong, port = tmp_path / "wrong", free_port()
    wrong.write_text("guessed")
    async with collector_on(fleet, "127.0.0.1", port, a=[requests(40)]):
        async with api(fleet, wrong, port) as rest:
            assert (await rest.call("GET", f"{MODEL}/stats"))[0] == 503
        async with api(fleet, None, port) as rest:
            assert (await rest.call("GET", f"{MODEL}/stats"))[0] == 503


@pytest.mark.parametrize(
    ("path", "status"),
    [
        (f"{MODEL}/stats?step=1ms&from=0", 422),
        (f"{MODEL}/stats?by=tenant", 422),
        (f"{MODEL}/stats?by=arm&arm=A.B", 422),
        (f"{MODEL}/stats?from={'9' * 50}", 422),
        ("/v1/tenants/search/models/none/stats", 404),
        ("/v1/tenants/none/stats", 404),
        ("/v1/gateways/none/stats", 404),
    ],
)
async def test_what_cannot_be_asked_is_a_clear_refusal(fleet: Fleet, token_file: Path, path: str, status: int) -> None:
    async with api(fleet, token_file, free_port()) as rest:
        found, answer = await rest.call("GET", path)
        assert found == status and answer["detail"]


async def test_who_sees_one_tenant_gets_the_statistics_of_its_models_only(
    fleet: Fleet, token_file: Path, tmp_path: Path
) -> None:
    port, lines = free_port(), [requests(40), requests(39, tenant="ads", model="bidder")]
    grant = {"apiVersion": "tidegate.dev/v1alpha1", "kind": "AccessGrant", "metadata": {"name": "viewer"}}
    settings = replace(SETTINGS, collectors_url=f"http://127.0.0.1:{port}", collectors_token_file=token_file)
    async with (
        collector_on(fleet, "127.0.0.1", port, a=lines),
        fleet.manager(settings) as manager,
        fleet.rest(manager, made(tmp_path, viewer=[])) as rest,
    ):
        await make_search(fleet)
        await fleet.apply(tenant("ads"), {**grant, "spec": GRANTS["viewer"]})
        viewer = {"Authorization": "Bearer as-viewer"}

        async def models() -> tuple[int, list[str]]:
            status, found = await rest.call("GET", "/v1/stats?step=1h&by=model", headers=viewer)
            return status, [item["tenant"] for item in found.get("items", [])]

        await until(lambda: _is(models, (200, ["search"])), "the own tenant's models, and no other's")
        assert (await rest.call("GET", "/v1/stats", headers=viewer))[0] == 403
        assert (await rest.call("GET", "/v1/tenants/ads/stats", headers=viewer))[0] == 404


async def _is(read: Callable[[], Awaitable[object]], wanted: object) -> bool:
    return await read() == wanted


async def test_top_shows_rates_limits_and_replicas_as_a_person_reads_them(fleet: Fleet, token_file: Path) -> None:
    port = free_port()
    async with collector_on(fleet, "127.0.0.1", port) as collector, api(fleet, token_file, port) as rest:
        await fleet.pod("inference-gw", {"istio": "shared"})
        for _ in range(2):
            await fleet.pod("search", labels())
        await until(lambda: _is_ready(rest, 2), "the limit of two replicas")
        _, end = counted_minute(time.time())
        requests_of_minutes = [
            line(float(at), **more) for at in range(end - MINUTE, end + MINUTE) for more in ({}, LIMITED)
        ]
        requests_of_minutes += [
            line(float(at), route="search.ranker.0.testers") for at in range(end - MINUTE, end + MINUTE, 2)
        ]
        engine = Engine()
        collector.series.put([*engine.feed("gw/a", requests_of_minutes), *engine.end("gw/a")])
        environment = {"TIDEGATE_SERVER": str(rest._session._base_url).rstrip("/"), "TIDEGATE_TOKEN": API_TOKEN}
        code, out, error = await run_command("top", "--once", environment=environment)
        assert (code, error) == (0, "")
        head, row = (text.split() for text in out.splitlines())
        assert head == ["MODEL", "DEMAND/S", "LIMIT/S", "LIMITED", "ERRORS", "P99", "READY"]
        assert row[:7] == ["search/ranker", "2.5", "40", "40.0", "%", "0.0", "%"] and row[-1] == "2/2"
        for words in (("-n", "search"), ("-A",)):
            code, out, error = await run_command("get", "models", *words, environment=environment)
            assert (code, error) == (0, "") and "40 % in 1m" in out, words
        code, out, _ = await run_command("top", "nothing", "--once", "-o", "json", environment=environment)
        assert code == 0 and json.loads(out)["items"] == []
        of_one = ("top", "search/ranker", "--once", "--by")
        code, out, error = await run_command(*of_one, "arm", environment=environment)
        assert (code, error) == (0, "")
        head, testers, weights = (text.split() for text in sorted(out.splitlines()))
        assert head == ["ARM", "DEMAND/S", "LIMITED", "ERRORS", "P99"]
        assert testers[:3] == ["testers", "0.5", "0.0"] and weights[:3] == ["weights", "2.0", "50.0"]
        _, out, _ = await run_command(*of_one, "version", "-o", "json", environment=environment)
        assert [(item["version"], item["demand"]) for item in json.loads(out)["items"]] == [("v1", 2.5)]
        code, _, error = await run_command("top", "x", "--once", "--by", "arm", environment=environment)
        assert code == 2 and "0 models fit 'x'" in " ".join(error.split())


async def _is_ready(rest: Rest, count: int) -> bool:
    _, found = await rest.call("GET", MODEL)
    status = found.get("status", {})
    is_limited = status.get("limit", {}).get("total") == 20 * count
    return is_limited and [version["ready"] for version in status.get("versions", [])] == [count]


@asynccontextmanager
async def collector_with_files(
    fleet: Fleet, host: str, port: int, folder: Path, ago: float, **lines: list[bytes]
) -> AsyncIterator[Collector]:
    """Serve a collector whose process before counted some lines, at the time when they came, and wrote them to files;
    the files seem to be there since the year 2001."""
    before = ParquetSink(folder, OldClock(ago))
    rows = [row for pod, read in lines.items() for row in counted(f"gw/{pod}", read)]
    await before.write(rows)
    await before.close()
    os.utime(folder / "lock", (10**9, 10**9))
    collector = Collector(fleet.client, SystemClock(), sinks=[ParquetSink(folder, SystemClock())])
    assert collector._history is not None
    try:
        async with served(collector, host, port):
            yield collector
    finally:
        await collector.sinks[0].close()


class OldClock(SystemClock):
    """A clock that is behind by some seconds."""

    def __init__(self, behind: float) -> None:
        self._behind = behind

    def utc(self) -> datetime:
        return super().utc() - timedelta(seconds=self._behind)


def counted(source: str, lines: list[bytes]) -> list[StatsRow]:
    engine = Engine()
    return [*engine.feed(source, lines), *engine.end(source)]


DAY = 86_400.0


async def test_days_are_answered_out_of_files_and_memory_together(
    fleet: Fleet, token_file: Path, tmp_path: Path
) -> None:
    port = free_port()
    old = [requests(3 * DAY), requests(3 * DAY, **LIMITED), requests(2 * DAY, status=503)]
    async with (
        collector_with_files(fleet, "127.0.0.1", port, tmp_path / "rows", 1.5 * DAY, a=old) as collector,
        api(fleet, token_file, port) as rest,
    ):
        collector._keep(counted("gw/a", [requests(100), requests(40)]))
        since = int(time.time() - 4 * DAY)
        status, found = await rest.call("GET", f"{MODEL}/stats?from={since}&step=1h")
        assert status == 200 and found["step"] == "3600s"
        assert sum(item["demand"] for item in found["items"]) == 5
        assert sum(item["limited"] for item in found["items"]) == sum(i["serverErrors"] for i in found["items"]) == 1
        assert found["gaps"] == [] and not found["partial"]
        _, versions = await rest.call("GET", f"{MODEL}/stats?from={since}&step=24h&by=version")
        assert {item["version"] for item in versions["items"]} == {"v1"}
        _, old_only = await rest.call("GET", f"/v1/stats?from={since}&to={int(time.time() - 2.5 * DAY)}")
        assert sum(item["demand"] for item in old_only["items"]) == 2
        lately = int(time.time() - 3 * DAY - 600)
        _, short = await rest.call("GET", f"{MODEL}/stats?from={lately}&to={lately + 1200}&step=10s")
        assert short["step"] == "300s" and not short["partial"] and "five minutes" in short["gaps"][0]
        assert sum(item["demand"] for item in short["items"]) == 2
        status, answer = await rest.call("GET", f"{MODEL}/stats?from={int(time.time() - 35 * DAY)}&step=1ms")
        assert status == 422 and "step" in answer["detail"]
        status, answer = await rest.call("GET", f"{MODEL}/stats?from={int(time.time() - 35 * DAY)}&step=5m")
        assert status == 422 and "longer step" in str(answer)


async def test_a_pod_that_changed_hands_counts_once_out_of_the_files_of_two_collectors(
    fleet: Fleet, token_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()
    addresses = [(2, 1, 6, "", (host, port)) for host in ("127.0.0.1", "127.0.0.2")]

    async def found_at(_: object, *__: object, **___: object) -> list[tuple[int, int, int, str, tuple[str, int]]]:
        return addresses

    moved = [requests(2 * DAY), requests(2 * DAY - 60)]
    async with (
        collector_with_files(fleet, "127.0.0.1", port, tmp_path / "one", DAY, a=[requests(2 * DAY)], b=moved) as one,
        collector_with_files(fleet, "127.0.0.2", port, tmp_path / "two", DAY, b=moved[:1], c=moved) as two,
        api(fleet, token_file, port) as rest,
    ):
        for collector in (one, two):
            assert collector._history is not None
            collector._history.share_all(int(time.time()))
        monkeypatch.setattr(type(asyncio.get_running_loop()), "getaddrinfo", found_at, raising=False)
        _, answer = await rest.call("GET", f"{MODEL}/stats?from={int(time.time() - 3 * DAY)}&step=24h")
    assert "items" in answer, answer
    assert sum(item["demand"] for item in answer["items"]) == 1 + 2 + 2
    assert answer["gaps"] == []


async def test_without_files_an_old_span_says_how_to_keep_rows(fleet: Fleet, token_file: Path, tmp_path: Path) -> None:
    port, since = free_port(), int(time.time() - DAY)
    async with (
        collector_on(fleet, "127.0.0.1", port, a=[requests(40)]),
        api(fleet, token_file, port) as rest,
    ):
        _, answer = await rest.call("GET", f"{MODEL}/stats?from={since}&step=1h")
    assert sum(item["demand"] for item in answer["items"]) == 1
    assert answer["partial"] and answer["gaps"] == [
        "collectors keep the last six hours only; start them with --sink parquet:/FOLDER to keep 35 days"
    ]
