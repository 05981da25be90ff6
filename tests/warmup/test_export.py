import struct

import pytest

from istio_templates.errors import Invalid
from tests.warmup.plans import bundle
from warmup.measurement.export import TFS_FILE, TRITON_FILE, crc32c, tfs, triton
from warmup.protos import message

NUMBERS = {"dtype": "FP32", "shape": [-1, 3]}
WORDS = {"dtype": "BYTES", "shape": [-1], "generator": {"values": ["q"]}}
CASES = [{"name": "a", "batchSizes": [1, 2], "inputs": {"x": NUMBERS, "s": WORDS}}]


def test_the_checksum_is_the_one_of_the_standard():
    assert crc32c(b"123456789") == 0xE3069283
    assert crc32c(bytes(32)) == 0x8A9136AA


def test_tensorflow_serving_reads_back_what_was_exported():
    raw, found = tfs(bundle(cases=CASES))[TFS_FILE], []
    while raw:
        (length,) = struct.unpack("<Q", raw[:8])
        found.append(message("tensorflow.PredictionLog").FromString(raw[12 : 12 + length]))
        for part, at in ((raw[:8], 8), (raw[12 : 12 + length], 12 + length)):
            (checksum,) = struct.unpack("<I", raw[at : at + 4])
            rotated = (checksum - 0xA282EAD8) & 0xFFFFFFFF
            assert ((rotated >> 17) | (rotated << 15)) & 0xFFFFFFFF == crc32c(part)
        raw = raw[16 + length :]
    requests = [log.predict_log.request for log in found]
    assert [request.model_spec.name for request in requests] == ["ranker", "ranker"]
    assert [len(request.inputs["x"].tensor_content) for request in requests] == [12, 24]
    assert list(requests[1].inputs["s"].string_val) == [b"q", b"q"]


def test_triton_gets_a_block_for_each_case_and_batch_and_its_data():
    files = triton(bundle(cases=CASES))
    text = files[TRITON_FILE].decode()
    assert text.count("batch_size: ") == 2
    assert 'value { data_type: TYPE_FP32 dims: [3] input_data_file: "a-2-0" }' in text
    assert "data_type: TYPE_STRING dims: []" in text
    assert len(files["warmup/a-2-0"]) == 24
    assert files["warmup/a-1-1"] == b"\x01\x00\x00\x00q"


def test_what_has_no_tensors_cannot_be_exported():
    openai = {"target": {"protocol": "openai", "port": 80}, "cases": [{"name": "a", "body": {"messages": []}}]}
    for export in (tfs, triton):
        with pytest.raises(Invalid, match="a server warms itself with tensors only"):
            export(bundle(**openai))
