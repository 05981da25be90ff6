"""Lines come out of what shippers put around them."""

import orjson
import pytest

from collectors.access_log.engine import Engine
from collectors.access_log.envelope import FIELDS, unwrapped
from tests.collectors.access_log.lines import BEGIN, line

LINE = line(BEGIN, path="/v1/{name}")
TEXT = LINE.decode()


def test_a_line_as_the_gateway_wrote_it_is_not_touched():
    assert unwrapped(LINE) is LINE
    assert unwrapped(line(BEGIN)) == line(BEGIN)


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("value", [TEXT, TEXT + "\n", f"2026-11-29T10:00:00.1Z stdout F {TEXT}", orjson.loads(LINE)])
def test_a_line_in_a_field_of_an_object_is_found(field, value):
    wrapped = orjson.dumps({"@timestamp": "2026-11-29T10:00:00Z", field: value, "kubernetes": {"pod": "gateway-0"}})
    assert orjson.loads(unwrapped(wrapped)) == orjson.loads(LINE)


def test_a_line_in_a_json_string_is_found():
    assert unwrapped(orjson.dumps(TEXT)) == LINE
    assert unwrapped(orjson.dumps(orjson.dumps({"log": TEXT}).decode())) == LINE


def test_a_line_behind_the_head_of_a_container_runtime_is_found():
    assert unwrapped(b"2026-11-29T10:00:00.123456789Z stdout F " + LINE) == LINE


@pytest.mark.parametrize(
    "value", [b"", b"{", b'"', b"null", b"[]", b'{"log":', b'{"log": 1}', b"\xff\xfe", b'"\\ud800"']
)
def test_what_is_no_line_is_counted_and_harms_nobody(value):
    engine = Engine()
    engine.feed("lines/0", [unwrapped(value), unwrapped(LINE)])
    assert (engine.counts.read, engine.counts.counted) == (2, 1)
