"""A real rsyslog ships what lies on a node into a real OpenSearch, with the configuration that is rendered."""

import asyncio
import json
import shutil
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from collectors.access_log.text_lines import LineSplitter
from collectors.log_shippers.rsyslog import rsyslog
from collectors.log_shippers.shipment import GATEWAY_LOGS, MODEL_LOGS, PODS, STATE, shipment
from tests.pipeline.search_node import SearchNode, search_node
from tests.support.waiting import until

LINES = 2000
ODD = (
    '{"a": "b\\\\"}',
    "tab\there",
    "$!all %msg% \\n",
    'quote " and \\',
    "\u00fcber \u2603",
    "x" * 9000,
    " two  spaces ",
)

pytestmark = pytest.mark.skipif(shutil.which("rsyslogd") is None, reason="rsyslog is not installed")


def moment(number: int) -> str:
    return f"2026-11-29T19:00:{number % 60:02}.{number:09}Z"


def gateway_line(number: int) -> str:
    """Return a line of the access log, or each tenth time one of Envoy's own messages."""
    if number % 10 == 0:
        return f"[warning] a message with a brace {{ and {number}"
    line = {"path": f'/v1/"schema":"gw/1"/{number}', "request_id": f"r{number}", "schema": "gw/1", "status": 200}
    return json.dumps(line, separators=(",", ":"))


class Node:
    """Log files of a node, and the configuration of a shipper that reads them."""

    def __init__(self, folder: Path, store: SearchNode) -> None:
        self._folder = folder
        self.gateway = folder / "pods" / "inference-gw_gateway-0_11aa-22" / "istio-proxy" / "0.log"
        self.model = folder / "pods" / "search_ranker-7d9f-x1_33bb-44" / "server" / "0.log"
        self.proxy = self.model.parent.parent / "istio-proxy" / "0.log"
        for file in (self.gateway, self.model, self.proxy):
            file.parent.mkdir(parents=True)
        (folder / "state").mkdir()
        text = rsyslog(shipment(None, store.address, "inference-gw", ["search"]))
        self.config = folder / "rsyslog.conf"
        self.config.write_text(text.replace(PODS, str(folder / "pods")).replace(STATE, str(folder / "state")))

    def write(self, file: Path, lines: list[tuple[int, str]], end: str = "F") -> None:
        with file.open("a") as stream:
            stream.writelines(f"{moment(number)} stdout {end} {line}\n" for number, line in lines)

    @asynccontextmanager
    async def shipper(self) -> AsyncIterator[None]:
        options = ("-n", "-f", str(self.config), "-i", str(self._folder / "pid"))
        process = await asyncio.create_subprocess_exec("rsyslogd", *options)
        try:
            yield
        finally:
            process.terminate()
            assert await process.wait() == 0


async def documents(store: SearchNode, index: str, count: int) -> list[dict[str, object]]:
    """Return all documents of an index once there are `count` of them."""

    async def are_there() -> bool:
        try:
            await store.ask("POST", f"/{index}/_refresh")
            found = await store.ask("GET", f"/{index}/_count")
        except AssertionError:
            return False
        return bool(found["count"] >= count)

    await until(are_there, f"{count} documents of {index}")
    found = await store.ask("GET", f"/{index}/_search?size=10000")
    return [one["_source"] for one in found["hits"]["hits"]]


async def test_every_line_arrives_once_over_ends_of_shipper_and_store(tmp_path) -> None:
    async with search_node(tmp_path / "store") as store:
        node = Node(tmp_path, store)
        numbers = [number for number in range(LINES) if number % 10]
        third = LINES // 3
        node.write(node.gateway, [(number, gateway_line(number)) for number in range(third)])
        async with node.shipper():
            await documents(store, GATEWAY_LOGS, len([n for n in numbers if n < third]))
        node.write(node.gateway, [(number, gateway_line(number)) for number in range(third, 2 * third)])
        async with node.shipper():
            await documents(store, GATEWAY_LOGS, len([n for n in numbers if n < 2 * third]))
            await store.kill()
            node.write(node.gateway, [(number, gateway_line(number)) for number in range(2 * third, LINES)])
            await store.start()
            found = await documents(store, GATEWAY_LOGS, len(numbers))
        assert sorted(map(str, found)) == sorted(str(json.loads(gateway_line(number))) for number in numbers)


async def test_lines_of_models_arrive_as_they_were_with_where_they_are_from(tmp_path) -> None:
    async with search_node(tmp_path / "store") as store:
        node = Node(tmp_path, store)
        node.write(node.proxy, [(0, "what Envoy says")])
        node.write(node.model, list(enumerate(ODD)))
        node.write(node.model, [(50, "first part")], end="P")
        async with node.shipper():
            found = await documents(store, MODEL_LOGS, len(ODD) + 1)
        assert Counter(one["message"] for one in found) == Counter([*ODD, "first part"])
        (part,) = [one for one in found if str(one["partial"]) == "1"]
        place = {"namespace": "search", "pod": "ranker-7d9f-x1", "container": "server"}
        assert part == {
            "time": moment(50),
            "stream": "stdout",
            "partial": part["partial"],
            "message": "first part",
            **place,
        }


def test_the_collector_reads_such_files_as_the_shipper_does(tmp_path) -> None:
    text = f"{moment(1)} stdout F {gateway_line(1)}\n".encode()
    assert LineSplitter().feed(text) == [gateway_line(1).encode()]
