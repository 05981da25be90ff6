"""Prometheus' remote write 1.0: what a request says, and each sample as other systems read it from a topic. Pure.

A body is one block of snappy, which holds a message of protobuf. The message is described here as far as it is read:
labels, samples, and native histograms to be counted. What else is in it (exemplars, metadata) is skipped.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from importlib import import_module
from math import inf, isnan
from typing import Any, NamedTuple

from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass

from istio_templates.errors import TidegateError

NAME = "__name__"
STALE = 0x7FF0000000000002
"""The bits of the NaN with which Prometheus says that a series has ended."""
LATEST_MS = 253_402_300_799_999
"""The last millisecond that has a year of four digits."""
SPREAD = 16
"""How many times the bound of a body its labels may have, written beside each sample."""
_DOCUMENT = 100
"""Bytes of a document beside its labels, about."""
_PACKAGE = "tidegate.remote_write"


class UndecodableWrite(TidegateError):
    """A body that is no remote write; the same body is wrong whenever it is sent."""

    def __init__(self, why: str) -> None:
        super().__init__(f"the body is no remote write 1.0 ({why}); send a WriteRequest as one block of snappy")


class OversizedWrite(TidegateError):
    """A body that is larger than what is taken; `size` and `most` are in bytes."""

    def __init__(self, size: int, most: int) -> None:
        super().__init__(f"the body has {size} bytes, at most {most} are taken; lower max_samples_per_send")
        self.size, self.most = size, most


class WriteSample(NamedTuple):
    """One sample: its labels with the name among them, milliseconds since 1970, and the value."""

    labels: dict[str, str]
    moment: int
    value: float

    @property
    def name(self) -> str:
        """The name of the metric; empty where it has none."""
        return self.labels.get(NAME, "")


@dataclass(frozen=True, slots=True)
class WriteContent:
    """What a request holds: samples, and how many markers of ended series and native histograms were left out."""

    samples: list[WriteSample]
    stale: int
    histograms: int


def decoded(body: bytes, most: int) -> WriteContent:
    """Return what is in a body that has at most `most` bytes when it is decompressed; raises `UndecodableWrite` and
    `OversizedWrite`."""
    size = plain_size(body)
    if size > most:
        raise OversizedWrite(size, most)
    message = _write_request()()
    try:
        message.ParseFromString(_decompressed(body))
    except DecodeError as error:
        raise UndecodableWrite("protobuf cannot be read") from error
    _require_bounded(message, most)
    samples, stale = list[WriteSample](), 0
    for series in message.timeseries:
        labels = {label.name: label.value for label in series.labels}
        for sample in series.samples:
            if is_stale(sample.value):
                stale += 1
            else:
                samples.append(WriteSample(labels, _moment(sample.timestamp), sample.value))
    return WriteContent(samples, stale, sum(len(series.histograms) for series in message.timeseries))


def plain_size(body: bytes) -> int:
    """Return how many bytes a block of snappy says it has when it is decompressed; raises `UndecodableWrite`."""
    size = 0
    for place, byte in enumerate(body[:5]):
        size |= (byte & 127) << 7 * place
        if byte < 128:
            return size
    raise UndecodableWrite("no block of snappy")


def is_stale(value: float) -> bool:
    """Whether a value says that a series has ended."""
    return isnan(value) and struct.unpack("<Q", struct.pack("<d", value))[0] == STALE


def sample_document(sample: WriteSample) -> dict[str, Any]:
    """Return a sample in the shape of Telefonica's prometheus-kafka-adapter."""
    return {
        "timestamp": moment_text(sample.moment),
        "value": value_text(sample.value),
        "name": sample.name,
        "labels": sample.labels,
    }


def value_text(value: float) -> str:
    """Return a value as the adapter writes it: the shortest decimals, without an exponent."""
    if isnan(value):
        return "NaN"
    if value in (inf, -inf):
        return "+Inf" if value > 0 else "-Inf"
    text = repr(value)
    return format(Decimal(text), "f") if "e" in text else text.removesuffix(".0")


def moment_text(milliseconds: int) -> str:
    """Return a moment by RFC 3339; whole seconds without a fraction."""
    seconds, rest = divmod(milliseconds, 1000)
    text = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S").rjust(19, "0")
    return f"{text}.{rest:03d}Z" if rest else f"{text}Z"


def write_requests(*series: tuple[dict[str, str], list[tuple[int, float]]]) -> Iterator[bytes]:
    """Yield the message (not compressed) of each series alone: labels, and samples of a moment and a value."""
    for labels, samples in series:
        message = _write_request()()
        one = message.timeseries.add()
        for name, value in labels.items():
            one.labels.add(name=name, value=value)
        for moment, number in samples:
            one.samples.add(timestamp=moment, value=number)
        yield message.SerializeToString()


def _require_bounded(message: Any, most: int) -> None:
    """Raise `OversizedWrite` where the documents of the samples would be many times larger than their message."""
    spread = sum(
        (_DOCUMENT + sum(len(label.name) + len(label.value) for label in one.labels)) * len(one.samples)
        for one in message.timeseries
    )
    if spread > SPREAD * most:
        raise OversizedWrite(spread, SPREAD * most)


def _moment(milliseconds: int) -> int:
    """Return a moment; raises `UndecodableWrite` where no calendar has it."""
    if not 0 <= milliseconds <= LATEST_MS:
        raise UndecodableWrite(f"a sample is of {milliseconds} ms since 1970")
    return milliseconds


def _decompressed(body: bytes) -> bytes:
    try:
        return bytes(import_module("cramjam").snappy.decompress_raw(body))
    except ImportError:
        raise
    except Exception as error:  # cramjam's own class, which it may rename
        raise UndecodableWrite("snappy cannot be read") from error


@cache
def _write_request() -> Any:
    """Return the class of the message."""
    kind = FieldDescriptorProto
    file = FileDescriptorProto(name="tidegate/remote_write.proto", package=_PACKAGE, syntax="proto3")
    described: dict[str, tuple[tuple[str, int, int, str], ...]] = {
        "Label": (("name", 1, kind.TYPE_STRING, ""), ("value", 2, kind.TYPE_STRING, "")),
        "Sample": (("value", 1, kind.TYPE_DOUBLE, ""), ("timestamp", 2, kind.TYPE_INT64, "")),
        "Histogram": (),
        "TimeSeries": (
            ("labels", 1, kind.TYPE_MESSAGE, "Label"),
            ("samples", 2, kind.TYPE_MESSAGE, "Sample"),
            ("histograms", 4, kind.TYPE_MESSAGE, "Histogram"),
        ),
        "WriteRequest": (("timeseries", 1, kind.TYPE_MESSAGE, "TimeSeries"),),
    }
    for name, members in described.items():
        message = file.message_type.add(name=name)
        for member, number, form, other in members:
            label = kind.LABEL_REPEATED if other else kind.LABEL_OPTIONAL
            added = message.field.add(name=member, number=number, type=form, label=label)
            if other:
                added.type_name = f".{_PACKAGE}.{other}"
    pool = DescriptorPool()
    pool.Add(file)
    return GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.WriteRequest"))
