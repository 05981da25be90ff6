"""Remote write: what Prometheus sends, and what it must not be able to send."""

import math
import struct

import cramjam
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.remote_write import (
    NAME,
    STALE,
    OversizedWrite,
    UndecodableWrite,
    WriteSample,
    decoded,
    plain_size,
    sample_document,
    value_text,
    write_requests,
)

UP = {NAME: "up", "tenant": "search"}
MOST = 2**20
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
series = st.tuples(
    st.dictionaries(texts, texts, max_size=5),
    st.lists(st.tuples(st.integers(0, 2**42), st.floats(allow_nan=False)), max_size=5),
)


def packed(*given: tuple[dict[str, str], list[tuple[int, float]]]) -> bytes:
    return compressed(b"".join(write_requests(*given)))


def compressed(message: bytes) -> bytes:
    return bytes(cramjam.snappy.compress_raw(message))


@given(st.lists(series, max_size=5))
def test_every_sample_arrives_with_its_labels(given):
    expected = [WriteSample(labels, *sample) for labels, samples in given for sample in samples]
    assert decoded(packed(*given), MOST).samples == expected


def test_a_marker_of_an_ended_series_is_counted_and_another_nan_is_a_sample():
    stale = struct.unpack("<d", struct.pack("<Q", STALE))[0]
    content = decoded(packed((UP, [(1000, stale), (2000, math.nan), (3000, 1.0)])), MOST)
    assert [sample_document(sample)["value"] for sample in content.samples] == ["NaN", "1"]
    assert content.stale == 1


def test_native_histograms_are_counted_and_what_is_not_known_is_skipped():
    histogram, exemplar, metadata = b"\x22\x02\x18\x01", b"\x1a\x02\x10\x01", b"\x1a\x04\x12\x02up"
    one = b"".join(write_requests((UP, [(1000, 1.0)])))[2:] + histogram + exemplar
    content = decoded(compressed(b"\x0a" + bytes([len(one)]) + one + metadata), MOST)
    assert (len(content.samples), content.histograms) == (1, 1)


def test_a_sample_has_the_shape_of_telefonicas_adapter():
    document = {"timestamp": "2026-11-29T10:00:00Z", "value": "9876543210", "name": "up", "labels": UP}
    assert sample_document(WriteSample(UP, 1_795_946_400_000, 9876543210.0)) == document
    assert sample_document(WriteSample(UP, 1_795_946_400_250, 0.5))["timestamp"] == "2026-11-29T10:00:00.250Z"


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_value_is_written_without_an_exponent_and_read_as_the_same_number(value):
    assert float(value_text(value)) == value
    assert "e" not in value_text(value)


def test_infinities_are_written_as_go_writes_them():
    assert [value_text(math.inf), value_text(-math.inf)] == ["+Inf", "-Inf"]


@given(st.binary(max_size=200))
def test_any_body_is_decoded_or_rejected_by_one_of_two_errors(body):
    try:
        assert decoded(body, 1000).histograms >= 0
    except (UndecodableWrite, OversizedWrite) as error:
        assert "body" in str(error)


@given(st.lists(series, min_size=1, max_size=3), st.data())
def test_a_body_that_was_cut_is_rejected(given, data):
    body = packed(*given)
    cut = body[: data.draw(st.integers(0, len(body) - 1))]
    with pytest.raises(UndecodableWrite):
        decoded(cut, MOST)


def test_a_body_that_says_it_is_large_is_rejected_before_it_is_decompressed():
    body = compressed(bytes(2**21))
    assert (plain_size(body), len(body) < 2**18) == (2**21, True)
    with pytest.raises(OversizedWrite, match="2097152 bytes, at most 1048576"):
        decoded(body, MOST)
    with pytest.raises(OversizedWrite):  # nothing but the size: there is no block to decompress
        decoded(body[:4], MOST)


def test_long_labels_of_many_samples_are_rejected_before_they_are_written_beside_each():
    body = packed(({NAME: "x" * 100_000}, [(at, 1.0) for at in range(10_000)]))
    with pytest.raises(OversizedWrite):
        decoded(body, MOST)


def test_a_moment_that_no_calendar_has_is_rejected():
    with pytest.raises(UndecodableWrite, match="ms since 1970"):
        decoded(packed((UP, [(2**62, 1.0)])), MOST)
