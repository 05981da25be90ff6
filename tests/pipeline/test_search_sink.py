"""Rows in a real OpenSearch: each counts once, although the store is killed and all rows are given again."""

import asyncio
import json
import re
import time
from collections import Counter
from dataclasses import replace

import aiohttp

from collectors.access_log.outcomes import OUTCOMES
from collectors.access_log.rows import RowKey, RowPlace, StatsRow
from collectors.request_statistics.row_document import row_of
from k8s_manager.collector.sinks.bulk_body import document_id
from k8s_manager.collector.sinks.row_sink import SinkUnavailable
from k8s_manager.collector.sinks.search_sink import SearchSink
from k8s_manager.runtime.clock import SystemClock
from tests.pipeline.search_node import search_node
from tests.support.pages import ROOT
from tests.support.waiting import until

MODELS, WINDOWS, PODS = 40, 50, 2
BATCH = 100
LARGEST_LONG = 2**63 - 1


def rows() -> list[StatsRow]:
    """Return rows of the last minutes, in the order of time; every fifth comes again with a higher revision."""
    begin = int(time.time()) // 10 * 10 - 10 * WINDOWS
    out = []
    for number in range(MODELS * WINDOWS * PODS):
        window, rest = divmod(number, MODELS * PODS)
        model, pod = divmod(rest, PODS)
        key = RowKey(RowPlace("model", "shared", "search", f"m{model}"), begin + 10 * window, f"inference-gw/g-{pod}")
        for revision in range(2 if number % 5 == 0 else 1):
            counts = (number % 97 + revision, number % 7, *[0] * (len(OUTCOMES) - 2))
            out.append(StatsRow(key, revision, counts, 3 * number, 5 * number, 7 * number, {number % 300: 1}))
    return out


def documented_query() -> dict[str, object]:
    """Return the query that the page shows: sums of the highest revision of each row."""
    page = (ROOT / "docs" / "log-shippers.md").read_text()
    (text,) = re.findall(r"```json\n(.+?)```", page, re.S)
    return dict(json.loads(text))


async def write_all(sink: SearchSink, given: list[StatsRow], taken: list[int] | None = None) -> int:
    """Give rows in batches until each was taken, as the collector does; return how often the sink was away.

    The sizes of batches that were taken are added to `taken`.
    """
    away = 0
    for start in range(0, len(given), BATCH):
        while True:
            try:
                batch = given[start : start + BATCH]
                assert await sink.write(batch) == 0
                if taken is not None:
                    taken.append(len(batch))
                break
            except SinkUnavailable:
                away += 1
                await asyncio.sleep(0.1)
    return away


async def test_each_row_counts_once_although_the_store_is_killed(tmp_path) -> None:
    given = rows()
    expected = Counter[str]()
    for row in highest_revisions(given):
        expected[row.key.place.model] += row.count("ok")
    more = replace(given[-1], counts=(given[-1].counts[0] + 1, *given[-1].counts[1:]))
    expected[more.key.place.model] += 1  # a collector that was started again has read one more line
    async with search_node(tmp_path) as node:
        sink = SearchSink(aiohttp.ClientSession(), node.address, SystemClock())
        try:
            taken: list[int] = []
            writing = asyncio.create_task(write_all(sink, given, taken))
            await until(lambda: taken, "a batch that the store has taken")
            await node.kill()
            assert 0 < sum(taken) < len(given)
            await node.start()
            assert await writing > 0
            assert await write_all(sink, [*given, more]) == 0
            await node.ask("POST", "/tidegate-rows/_refresh")
            found = await node.ask("POST", "/tidegate-rows/_search", documented_query())
            assert (await node.ask("GET", "/tidegate-rows/_count"))["count"] == len(given) + 1
            assert {one["key"]: one["ok"]["value"] for one in found["aggregations"]["models"]["buckets"]} == expected
            assert sink.refused == 0
        finally:
            await sink.close()


def highest_revisions(given: list[StatsRow]) -> list[StatsRow]:
    """Return the highest revision of each row."""
    return list({row.key: row for row in sorted(given, key=lambda row: row.revision)}.values())


async def test_the_store_keeps_rows_whole_and_refuses_only_what_it_cannot_read(tmp_path) -> None:
    good = rows()[:3]
    odd = StatsRow(good[0].key, 9, (LARGEST_LONG + 1, *good[0].counts[1:]), 0, 0, 0, {})
    async with search_node(tmp_path) as node:
        sink = SearchSink(aiohttp.ClientSession(), node.address, SystemClock())
        try:
            assert await sink.write([good[0], odd, *good[1:]]) == 1
            assert "mapper_parsing_exception" in (sink.sample or "")
            await node.ask("POST", "/tidegate-rows/_refresh")
            kept = await node.ask("GET", "/tidegate-rows/_search?sort=start&size=10")
            found = {one["_id"]: row_of(one["_source"]) for one in kept["hits"]["hits"]}
            assert found == {document_id(row): row for row in good}
            stream = await node.ask("GET", "/_data_stream/tidegate-rows")
            assert stream["data_streams"][0]["template"] == "tidegate-rows"
        finally:
            await sink.close()
