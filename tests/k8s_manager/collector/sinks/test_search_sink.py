"""Rows go into a search store once each, whatever it answers."""

import base64

import orjson
import pytest
from aiohttp import web

from collectors.access_log.rows import RowKey, RowPlace, StatsRow
from collectors.request_statistics.row_document import row_document, row_of
from istio_templates.errors import Invalid, Stalled
from k8s_manager.collector.sinks import search_sink, search_store
from k8s_manager.collector.sinks.bulk_body import ID_MAX, bulk_item, document_id, requests
from k8s_manager.collector.sinks.row_sink import SinkUnavailable
from k8s_manager.collector.sinks.search_credentials import authorization_from
from k8s_manager.collector.sinks.search_sink import ROUNDS, SearchSink
from k8s_manager.collector.sinks.search_store import SearchStoreBusy
from k8s_manager.collector.sinks.search_template import index_template
from tests.k8s_manager.collector.sinks.stub_store import ShortClock, items, row, stubbed

FIVE = [row(model=name) for name in ("a", "b", "c", "d", "e")]


async def test_each_row_is_a_document_of_its_own_and_is_kept_whole() -> None:
    async with stubbed() as stub:
        assert await stub.sink.write([row(), row(revision=1, ok=2)]) == 0
        (documents,) = stub.store.bulks
        assert [row_of(one) for one in documents] == [row(), row(revision=1, ok=2)]
        assert len({one["_id"] for one in documents}) == 2
        assert len({one["row"] for one in documents}) == 1
        assert [one["@timestamp"] for one in documents] == [one["start"] for one in documents]


def test_a_collector_that_was_started_again_and_read_more_writes_a_document_of_its_own() -> None:
    assert document_id(row(ok=1)) != document_id(row(ok=2))
    assert document_id(row(ok=1)) == document_id(row(ok=1))


async def test_only_what_the_store_could_not_take_is_given_again() -> None:
    async with stubbed(lambda rows: items(201, 409, 429, 400, 503), lambda rows: items(201, 409)) as stub:
        assert await stub.sink.write(FIVE) == 1
        first, second = stub.store.ids()
        assert second == [first[2], first[4]]
        assert stub.sink.refused == 1
        assert stub.sink.sample == "error_400: of one row: the first cause"
        assert stub.clock.pauses == [0.5]


async def test_a_row_that_is_already_there_is_written() -> None:
    async with stubbed(lambda rows: items(409, 409)) as stub:
        assert await stub.sink.write(FIVE[:2]) == 0
        assert stub.sink.refused == 0
        assert len(stub.store.bulks) == 1


@pytest.mark.parametrize("status", [403, 404, 429, 500, 503])
async def test_a_store_that_never_takes_a_row_is_unavailable_and_no_row_is_lost(status: int) -> None:
    async with stubbed(*[lambda rows: items(*[status] * len(rows))] * ROUNDS) as stub:
        with pytest.raises(SearchStoreBusy, match=f"cannot take 2 rows now, {status}: error_{status}"):
            await stub.sink.write(FIVE[:2])
        assert stub.sink.refused == 0
        assert len(stub.store.bulks) == ROUNDS


@pytest.mark.parametrize(
    ("status", "headers", "after"),
    [(429, {"Retry-After": "7"}, 7.0), (503, {}, None), (502, {"Retry-After": "x"}, None)],
)
async def test_a_busy_store_says_when_to_come_back(status: int, headers: dict[str, str], after: float | None) -> None:
    async with stubbed(lambda rows: web.Response(status=status, headers=headers)) as stub:
        with pytest.raises(SearchStoreBusy, match=f"it answers {status}") as caught:
            await stub.sink.write(FIVE)
        assert caught.value.after == after
        assert await stub.sink.write(FIVE) == 0
        assert stub.store.ids()[0] == stub.store.ids()[1]


async def test_a_request_that_is_too_large_is_cut_until_only_the_row_that_is_too_large_is_refused() -> None:
    def answer(rows: list[dict[str, object]]) -> web.Response:
        is_large = len(rows) > 2 or any(one["model"] == "c" for one in rows)
        return web.Response(status=413) if is_large else items(*[201] * len(rows))

    async with stubbed(*[answer] * 20) as stub:
        assert await stub.sink.write(FIVE) == 1
        taken = {one["model"] for rows in stub.store.bulks for one in rows if len(rows) <= 2}
        assert taken == {"a", "b", "c", "d", "e"}
        assert stub.sink.sample == "413: the row is larger than the store takes"


async def test_requests_are_bounded_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    most = 3 * len(bulk_item(row())) + 10
    monkeypatch.setattr(search_sink, "REQUEST_MAX", most)
    async with stubbed() as stub:
        assert await stub.sink.write([row(start=1_700_000_000 + 10 * number) for number in range(10)]) == 0
        assert max(stub.store.sizes) <= most
        assert [len(one) for one in stub.store.bulks] == [3, 3, 3, 1]


def test_an_item_that_is_larger_than_a_request_is_a_request_of_its_own() -> None:
    assert list(requests([b"a" * 3, b"b" * 9, b"c"], 4)) == [[b"a" * 3], [b"b" * 9], [b"c"]]


@pytest.mark.parametrize(
    "answer",
    [b"<html>", b"[]", b"{}", b'{"items":3}', b'{"items":[{}]}', b'{"items":[{"create":{}}]}', b'{"items":[]}', b""],
)
async def test_an_answer_that_is_none_of_bulk_loses_no_row(answer: bytes) -> None:
    async with stubbed(lambda rows: web.Response(body=answer)) as stub:
        with pytest.raises(SinkUnavailable, match="check that it is a search store"):
            await stub.sink.write([row()])


async def test_an_answer_without_an_end_is_not_read_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search_store, "ANSWER_MAX", 1000)
    async with stubbed(lambda rows: web.Response(body=b" " * 2000)) as stub:
        with pytest.raises(SinkUnavailable, match="longer than 1000 bytes"):
            await stub.sink.write([row()])


async def test_a_redirect_is_not_followed_with_credentials() -> None:
    async with stubbed(lambda rows: web.Response(status=307, headers={"Location": "/other/_bulk"})) as stub:
        with pytest.raises(SinkUnavailable, match="it answers 307; check its address"):
            await stub.sink.write([row()])
        assert len(stub.store.bulks) == 1


async def test_a_store_that_is_away_is_unavailable_and_takes_rows_when_it_is_back() -> None:
    async with stubbed() as stub:
        port = stub.server.port
        await stub.server.close()
        with pytest.raises(SinkUnavailable, match=f"127.0.0.1:{port}.*no answer: ClientConnectorError"):
            await stub.sink.write([row()])


@pytest.mark.parametrize("status", [400, 401, 403])
async def test_a_store_that_shows_no_templates_is_given_no_rows(status: int) -> None:
    async with stubbed() as stub:
        stub.store.template_status = status
        with pytest.raises(SinkUnavailable, match=f"it answers {status}"):
            await stub.sink.write([row()])
        assert stub.store.bulks == []


async def test_the_template_is_made_where_it_is_missing_and_again_when_the_store_lost_it() -> None:
    async with stubbed(lambda rows: items(201), lambda rows: web.Response(status=503)) as stub:
        await stub.sink.write([row()])
        assert stub.store.templates == {"tidegate-rows": index_template("tidegate-rows")}
        with pytest.raises(SinkUnavailable):
            await stub.sink.write([row()])
        stub.store.templates.clear()
        await stub.sink.write([row()])
        assert "tidegate-rows" in stub.store.templates


async def test_a_template_of_an_operator_stays() -> None:
    async with stubbed(stream="rows-2") as stub:
        stub.store.templates["rows-2"] = {"index_patterns": ["rows-*"]}
        await stub.sink.write([row()])
        assert stub.store.templates["rows-2"] == {"index_patterns": ["rows-*"]}


def test_every_field_of_a_row_has_a_mapping() -> None:
    fields = index_template("rows")["template"]["mappings"]["properties"]
    assert fields.keys() == {"@timestamp", "row", *row_document(row())}
    assert {name for name, kind in fields.items() if kind["type"] == "date"} == {"@timestamp", "start"}
    assert fields["latency"] == {"type": "object", "enabled": False}
    assert fields["tenant"] == {"type": "keyword"}
    assert fields["limited"] == {"type": "long"}


def test_an_id_fits_into_a_store_however_long_names_are() -> None:
    place = RowPlace("version", *["n" * 253] * 4)
    long = [StatsRow(RowKey(place, 0, "p" * 300), revision, (0,) * 15, 0, 0, 0, {}) for revision in (0, 1)]
    ids = {document_id(one) for one in [*long, row(), row(revision=1)]}
    assert len(ids) == 4
    assert max(map(len, ids)) <= ID_MAX


@pytest.mark.parametrize(
    ("text", "header"),
    [
        ("elastic:pa:ss\n", "Basic " + base64.b64encode(b"elastic:pa:ss").decode()),
        ("QUJD\n", "ApiKey QUJD"),
        ("ApiKey QUJD", "ApiKey QUJD"),
    ],
)
async def test_credentials_are_read_again_for_each_request(tmp_path, text: str, header: str) -> None:
    file = tmp_path / "secret"
    file.write_text("old")
    async with stubbed(authorization=authorization_from(file)) as stub:
        await stub.sink.write([row()])
        file.write_text(text)
        await stub.sink.write([row()])
        assert [one["Authorization"] for one in stub.store.headers] == ["ApiKey old", header]


@pytest.mark.parametrize("text", ["", "one\r\nX-Other: 1", "two\nlines", "pass\u00e9"])
async def test_a_file_without_credentials_is_said_without_showing_it(tmp_path, text: str) -> None:
    file = tmp_path / "secret"
    file.write_text(text)
    with pytest.raises(Stalled, match="holds no credentials"):
        authorization_from(file)()
    async with stubbed(authorization=authorization_from(file)) as stub:
        with pytest.raises(SinkUnavailable, match="holds no credentials") as caught:
            await stub.sink.write([row()])
    assert not text or text not in str(caught.value)


async def test_no_error_and_no_log_line_shows_credentials(tmp_path, caplog: pytest.LogCaptureFixture) -> None:
    file, secret = tmp_path / "secret", "elastic:geheim"
    file.write_text(secret)
    said = []
    caplog.set_level("DEBUG")
    for status in (301, 400, 401, 403, 404, 429, 500):
        async with stubbed(
            lambda rows, s=status: web.Response(status=s), authorization=authorization_from(file)
        ) as stub:
            with pytest.raises(SinkUnavailable) as caught:
                await stub.sink.write([row()])
            said.append(str(caught.value))
    shown = caplog.text + "".join(said)
    assert len(said) == 7
    assert "geheim" not in shown and base64.b64encode(secret.encode()).decode() not in shown


async def test_a_missing_file_of_credentials_keeps_the_rows(tmp_path) -> None:
    async with stubbed(authorization=authorization_from(tmp_path / "none")) as stub:
        with pytest.raises(SinkUnavailable, match="No such file or directory"):
            await stub.sink.write([row()])


@pytest.mark.parametrize(
    "address",
    [
        "",
        "localhost:9200",
        "http://",
        "ftp://a",
        "http://a:b@c:9200",
        "http://a/?x=1",
        "http://a b",
        "http://[",
        "http://a:x",
    ],
)
def test_an_address_that_is_none_or_holds_credentials_is_rejected(address: str) -> None:
    with pytest.raises(Invalid) as caught:
        SearchSink(None, address, ShortClock())  # type: ignore[arg-type]
    assert "a:b" not in str(caught.value)


def test_a_request_has_two_lines_for_each_row() -> None:
    action, document, end = bulk_item(row()).split(b"\n")
    assert orjson.loads(action) == {"create": {"_id": document_id(row())}}
    assert row_of(orjson.loads(document)) == row()
    assert end == b""
