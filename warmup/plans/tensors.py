"""Tensors as plans describe them: their types, and elements by a generator.

Elements are kept flat, in row-major order. What is given is repeated from its beginning until the shape is full.
"""

import base64
import json
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import cycle, islice
from math import ceil, floor, prod
from random import Random
from typing import Any

from istio_templates.documents.warmup import FileRef, Generator, Tensor

ELEMENTS = 2_000_000  # of all tensors of a plan: they are made in the manager, beside everything else
CHUNK = 50_000  # elements that are packed at once: one call for all of them would hold every other thread
# Each type's format for `struct`, little-endian; BYTES have a length of their own.
_FORMATS = {
    "BOOL": "?", "UINT8": "B", "UINT16": "H", "UINT32": "I", "UINT64": "Q", "INT8": "b", "INT16": "h", "INT32": "i",
    "INT64": "q", "FP16": "e", "FP32": "f", "FP64": "d",
}  # fmt: skip
_FLOATS = ("FP16", "FP32", "FP64")
Files = Mapping[FileRef, bytes]


class Unresolved(ValueError):
    """A tensor that cannot be made from what is known."""


@dataclass(frozen=True, slots=True)
class Described:
    """What a server says of one of its inputs; -1 in the shape is open."""

    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Filled:
    """A tensor with its elements: numbers, booleans, or bytes where the type is BYTES."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    elements: tuple[Any, ...]

    def raw(self) -> bytes:
        """Return the elements in binary: little-endian, BYTES each behind its length (u32)."""
        if self.dtype == "BYTES":
            return b"".join(struct.pack("<I", len(element)) + element for element in self.elements)
        chunks = (self.elements[at : at + CHUNK] for at in range(0, len(self.elements), CHUNK))
        return b"".join(struct.pack(f"<{len(chunk)}{_FORMATS[self.dtype]}", *chunk) for chunk in chunks)

    def plain(self) -> list[Any]:
        """Return the elements as JSON can hold them."""
        return [e.decode("utf-8", "replace") if isinstance(e, bytes) else e for e in self.elements]


def filled(
    name: str, tensor: Tensor, batch: int, described: Described | None, files: Files, most: int | None = None
) -> Filled:
    """Return a tensor of a request; raises `Unresolved` with what is missing or does not fit. With `most`, a smaller
    one of the same rank with so many of its elements; the smallest and the largest are checked, too."""
    dtype = tensor.dtype or (described.dtype if described else None)
    shape = tensor.shape if tensor.shape is not None else (described.shape if described else None)
    if dtype is None or shape is None:
        raise Unresolved(f"{name}: neither the plan nor the server says its dtype and shape; give both")
    if dtype not in (*_FORMATS, "BYTES"):
        raise Unresolved(f"{name}: the server's type {dtype} is not supported; give a dtype that is")
    sized = shrunk(_sized(name, shape, batch), most)
    try:
        source = _elements(tensor.generator, dtype, files)
        elements = tuple(islice(source, prod(sized)))
        if most is not None:
            _require_fit(tensor.generator, dtype)
        found = Filled(name, dtype, sized, elements)
        found.raw()
    except (struct.error, TypeError, ValueError, OverflowError, RecursionError) as error:
        raise Unresolved(f"{name}: its values do not fit {dtype} ({error}); change the values or the dtype") from error
    return found


def shrunk(shape: tuple[int, ...], most: int | None) -> tuple[int, ...]:
    """Return a shape of the same rank with at most `most` elements, its last places kept before the first."""
    if most is None or prod(shape) <= most:
        return shape
    left, kept = most, list[int]()
    for size in reversed(shape):
        kept.append(max(1, min(size, left)))
        left //= kept[-1]
    return tuple(reversed(kept))


def _require_fit(generator: Generator, dtype: str) -> None:
    """Make sure of the ends of a range, which hardly any sample has."""
    if (span := generator.random) is not None and dtype not in ("BYTES", "BOOL"):
        ends = (span.low, span.high) if dtype in _FLOATS else (floor(span.low), ceil(span.high) - 1)
        Filled("", dtype, (2,), ends).raw()


def _sized(name: str, shape: tuple[int, ...], batch: int) -> tuple[int, ...]:
    if -1 in shape[1:]:
        raise Unresolved(f"{name}: shape {list(shape)} is open beyond the batch size; give its shape in the plan")
    if shape[:1] == (-1,):
        return (batch, *shape[1:])
    if batch != 1 and shape[:1] != (batch,):
        raise Unresolved(f"{name}: shape {list(shape)} has no -1 for a batch of {batch}; put it first, or use batch 1")
    return shape


def _elements(generator: Generator, dtype: str, files: Files) -> Iterable[Any]:
    if generator.zeros or generator.ones:
        return cycle([_constant(1 if generator.ones else 0, dtype)])
    if generator.random:
        return _random(generator.random.low, generator.random.high, generator.random.seed, dtype)
    if generator.values is not None:
        return cycle(_converted(_flat(generator.values), dtype))
    if generator.b64 is not None:
        return cycle(_unpacked(base64.b64decode(generator.b64), dtype))
    assert generator.file is not None
    content = files[generator.file]
    if generator.file.key.endswith(".json"):
        return cycle(_converted(_flat(json.loads(content)), dtype))
    return cycle(_unpacked(content, dtype))


def _constant(value: int, dtype: str) -> Any:
    if dtype == "BYTES":
        return b"" if value == 0 else b"1"
    return bool(value) if dtype == "BOOL" else float(value) if dtype in _FLOATS else value


def _random(low: float, high: float, seed: int, dtype: str) -> Iterable[Any]:
    source = Random(seed)
    while True:
        value = low + (high - low) * source.random()
        if dtype == "BYTES":
            yield f"{value:g}".encode()
        elif dtype == "BOOL":
            yield source.random() < 0.5
        else:
            yield value if dtype in _FLOATS else int(value // 1)


def _flat(values: Any) -> list[Any]:
    if not isinstance(values, list):
        return [values]
    return [element for value in values for element in _flat(value)]


def _converted(values: list[Any], dtype: str) -> list[Any]:
    if not values:
        raise ValueError("there are none")
    if dtype == "BYTES":
        return [value.encode() if isinstance(value, str) else json.dumps(value).encode() for value in values]
    if wrong := [value for value in values if value is None or isinstance(value, str | dict)]:
        raise ValueError(f"{wrong[0]!r} is no number")
    if dtype == "BOOL":
        return [bool(value) for value in values]
    found = [float(value) if dtype in _FLOATS else value for value in values]
    Filled("", dtype, (len(found),), tuple(found)).raw()  # all of them, also where only some are sent
    return found


def _unpacked(raw: bytes, dtype: str) -> list[Any]:
    if dtype == "BYTES":
        return _lengths(raw)
    size = struct.calcsize(f"<{_FORMATS[dtype]}")
    if not raw or len(raw) % size:
        raise ValueError(f"{len(raw)} bytes are no whole number of elements of {size}")
    return list(struct.unpack(f"<{len(raw) // size}{_FORMATS[dtype]}", raw))


def _lengths(raw: bytes) -> list[bytes]:
    out, at = [], 0
    while at < len(raw):
        (length,) = struct.unpack_from("<I", raw, at)
        if at + 4 + length > len(raw):
            raise ValueError("an element ends beyond the bytes")
        out.append(raw[at + 4 : at + 4 + length])
        at += 4 + length
    if not out:
        raise ValueError("there are none")
    return out
