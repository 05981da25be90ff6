import base64
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from istio_templates.documents.warmup import FileRef, Tensor
from warmup.plans.tensors import Described, Unresolved, filled

FILE = FileRef(config_map="inputs", key="ids.bin")
DTYPES = [
    "BOOL",
    "UINT8",
    "UINT16",
    "UINT32",
    "UINT64",
    "INT8",
    "INT16",
    "INT32",
    "INT64",
    "FP16",
    "FP32",
    "FP64",
    "BYTES",
]
SIZES = {
    "BOOL": 1,
    "UINT8": 1,
    "UINT16": 2,
    "UINT32": 4,
    "UINT64": 8,
    "INT8": 1,
    "INT16": 2,
    "INT32": 4,
    "INT64": 8,
    "FP16": 2,
    "FP32": 4,
    "FP64": 8,
}


def made(batch=1, described=None, files=None, **parts):
    return filled("x", Tensor.model_validate(parts), batch, described, files or {})


@given(dtype=st.sampled_from(DTYPES), batch=st.integers(1, 16), inner=st.lists(st.integers(1, 6), max_size=3))
def test_every_type_fills_its_shape_and_has_its_size_in_binary(dtype, batch, inner):
    for generator in ({"zeros": {}}, {"ones": {}}, {"random": {"high": 100, "seed": 3}}):
        found = made(batch=batch, dtype=dtype, shape=[-1, *inner], generator=generator)
        count = batch
        for size in inner:
            count *= size
        assert found.shape == (batch, *inner)
        assert len(found.elements) == count
        if dtype != "BYTES":
            assert len(found.raw()) == count * SIZES[dtype]


@given(low=st.integers(-100, 100), span=st.integers(1, 100), seed=st.integers(0, 9))
def test_random_numbers_lie_in_their_span_and_are_the_same_for_the_same_seed(low, span, seed):
    parts = {"dtype": "INT32", "shape": [50], "generator": {"random": {"low": low, "high": low + span, "seed": seed}}}
    found = made(**parts)
    assert all(low <= element < low + span for element in found.elements)
    assert found == made(**parts)


def test_values_are_repeated_until_the_shape_is_full():
    found = made(batch=2, dtype="FP32", shape=[-1, 3], generator={"values": [[1, 2]]})
    assert found.elements == (1, 2, 1, 2, 1, 2)


def test_strings_carry_their_length_in_binary():
    found = made(dtype="BYTES", shape=[2], generator={"values": ["ab", "c"]})
    assert found.raw() == struct.pack("<I", 2) + b"ab" + struct.pack("<I", 1) + b"c"
    assert found.plain() == ["ab", "c"]


def test_bytes_come_in_base64_or_from_a_file():
    raw = struct.pack("<2i", 7, -7)
    assert made(dtype="INT32", shape=[2], generator={"b64": base64.b64encode(raw).decode()}).elements == (7, -7)
    generator = {"file": {"configMap": "inputs", "key": "ids.bin"}}
    assert made(dtype="INT32", shape=[2], generator=generator, files={FILE: raw}).elements == (7, -7)


def test_what_the_plan_leaves_out_the_server_says():
    assert made(batch=4, described=Described("FP32", (-1, 2))).shape == (4, 2)


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({}, "neither the plan nor the server says its dtype and shape"),
        ({"described": Described("FP32", (-1, -1))}, "is open beyond the batch size"),
        ({"described": Described("BF16", (1,))}, "the server's type BF16 is not supported"),
        ({"dtype": "FP32", "shape": [4], "batch": 8}, "has no -1 for a batch of 8"),
        ({"dtype": "INT8", "shape": [1], "generator": {"values": [300]}}, "its values do not fit INT8"),
        ({"dtype": "INT8", "shape": [1], "generator": {"values": [0.5]}}, "its values do not fit INT8"),
        ({"dtype": "FP32", "shape": [1], "generator": {"values": ["word"]}}, "'word' is no number"),
        ({"dtype": "FP32", "shape": [1], "generator": {"b64": "AAA="}}, "2 bytes are no whole number of elements of 4"),
        ({"dtype": "BYTES", "shape": [1], "generator": {"b64": "BQAAAGE="}}, "an element ends beyond the bytes"),
        ({"dtype": "UINT8", "shape": [1], "generator": {"random": {"low": -5, "high": -1}}}, "do not fit UINT8"),
    ],
)  # fmt: skip
def test_what_cannot_be_made_says_why(parts, said):
    with pytest.raises(Unresolved, match=said):
        made(**parts)
