"""Floating-point numbers in binary, as answers carry them."""

import math
import struct


def are_finite(raw: bytes, form: str) -> bool:
    """Tell whether all little-endian numbers of a `struct` format are finite; what is left over at the end is not
    checked."""
    size = struct.calcsize(form)
    count = len(raw) // size
    return all(map(math.isfinite, struct.unpack(f"<{count}{form}", raw[: count * size])))
