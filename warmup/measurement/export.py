"""A plan in the servers' own words, so that they warm themselves while they load.

TensorFlow Serving reads `assets.extra/tf_serving_warmup_requests` beside the model: a TFRecord file of PredictionLog.
Triton reads `model_warmup` in the model's `config.pbtxt`, and from its folder `warmup` the data that it refers to.
Sources: TensorFlow Serving's `saved_model_warmup.md`, TensorFlow's TFRecord format, Triton's `model_config.proto`.
"""

import json
import struct
from collections.abc import Iterator

from istio_templates.documents.warmup import Case
from istio_templates.errors import Invalid, Problem
from warmup.plans.bundle import Bundle
from warmup.plans.request_compiler import tensors
from warmup.plans.tensors import Filled, Unresolved
from warmup.protocols.tfs_grpc import predict
from warmup.protos import message

TFS_FILE = "assets.extra/tf_serving_warmup_requests"
TFS_RECORDS = 1000  # more are refused by the server
TRITON_FILE = "model_warmup.pbtxt"
_TRITON_TYPES = {"BYTES": "TYPE_STRING"}


def tfs(bundle: Bundle) -> dict[str, bytes]:
    """Return TensorFlow Serving's warm-up file by its path in the model's folder."""
    records = []
    for _, _, inputs in _all(bundle):
        log = message("tensorflow.PredictionLog")()
        log.predict_log.request.CopyFrom(predict(bundle.server, inputs))
        records.append(log.SerializeToString())
    if len(records) > TFS_RECORDS:
        raise Invalid(bundle.model, [Problem("cases", f"make {len(records)} records; the server takes {TFS_RECORDS}")])
    return {TFS_FILE: b"".join(map(record, records))}


def triton(bundle: Bundle) -> dict[str, bytes]:
    """Return Triton's `model_warmup` block, for `config.pbtxt`, and its data, by their paths in the model's folder."""
    blocks: list[str] = []
    files: dict[str, bytes] = {}
    for case, batch, inputs in _all(bundle):
        name = f"{case.name}-{batch}"
        lines = [
            f"    name: {json.dumps(name)}",
            f"    batch_size: {batch}",
            f"    count: {bundle.spec.success.window}",
        ]
        for number, tensor in enumerate(inputs):
            data = f"{name}-{number}"
            files[f"warmup/{data}"] = tensor.raw()
            lines += _input(tensor, batch, data)
        blocks.append("\n".join(["  {", *lines, "  }"]))
    text = "\n".join(["model_warmup [", ",\n".join(blocks), "]", ""])
    return {TRITON_FILE: text.encode(), **files}


def _input(tensor: Filled, batch: int, data: str) -> list[str]:
    """Return an input of a block; the batch is not among its dimensions."""
    sizes = tensor.shape[1:] if tensor.shape[:1] == (batch,) else tensor.shape
    kind = _TRITON_TYPES.get(tensor.dtype, f"TYPE_{tensor.dtype}")
    return [
        "    inputs {",
        f"      key: {json.dumps(tensor.name)}",
        f"      value {{ data_type: {kind} dims: {list(sizes)} input_data_file: {json.dumps(data)} }}",
        "    }",
    ]


def _all(bundle: Bundle) -> Iterator[tuple[Case, int, tuple[Filled, ...]]]:
    for number, case in enumerate(bundle.spec.cases):
        if case.inputs is None:
            said = "has no inputs; a server warms itself with tensors only"
            raise Invalid(bundle.model, [Problem(f"cases[{number}]", said)])
        for batch in case.batch_sizes:
            try:
                yield case, batch, tensors(case, batch, {}, bundle.files)
            except Unresolved as error:
                raise Invalid(bundle.model, [Problem(f"cases[{number}].inputs", str(error))]) from error


def record(data: bytes) -> bytes:
    """Return a TFRecord: length, its checksum, the data, their checksum."""
    length = struct.pack("<Q", len(data))
    return length + struct.pack("<I", _masked(length)) + data + struct.pack("<I", _masked(data))


def _masked(data: bytes) -> int:
    checksum = crc32c(data)
    return (((checksum >> 15) | (checksum << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def crc32c(data: bytes) -> int:
    """Return the Castagnoli checksum (RFC 3720, appendix B.4)."""
    checksum = 0xFFFFFFFF
    for byte in data:
        checksum = _TABLE[(checksum ^ byte) & 0xFF] ^ (checksum >> 8)
    return checksum ^ 0xFFFFFFFF


def _entry(index: int) -> int:
    for _ in range(8):
        index = (index >> 1) ^ (0x82F63B78 if index & 1 else 0)
    return index


_TABLE = tuple(map(_entry, range(256)))
