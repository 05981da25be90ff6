"""One line of the access log, as far as rows are made of it. What is not needed is skipped while it is read."""

from typing import Annotated

from msgspec import DecodeError, Meta, Struct
from msgspec.json import Decoder

Count = Annotated[int, Meta(ge=0, le=2**53)]
Text = Annotated[str, Meta(max_length=4096)]
UNREADABLE = (DecodeError, RecursionError)
"""What `read` raises for a line that is no such line."""


class LogLine(Struct, frozen=True, gc=False):
    """A line of `gw/1`; its fields stand in docs/access-log.md."""

    schema: Text
    gateway: Text
    time: Text
    status: Count
    flags: Text
    details: Text | None
    grpc_status: int | None
    route: Text | None
    route_config: Text | None
    cluster: Text | None
    duration_us: Count | None
    duration_ms: Count
    bytes_in: Count
    bytes_out: Count


read = Decoder(LogLine).decode
"""Return the line in some bytes of JSON; raises one of `UNREADABLE`."""


class _Schema(Struct, frozen=True, gc=False):
    schema: str = ""


_read_schema = Decoder(_Schema).decode


def schema_of(line: bytes) -> str | None:
    """Return the schema of a line; empty text where it is of another log (Envoy's messages, or what the mesh has its
    gateways log), None where it cannot be read."""
    if not line.lstrip().startswith(b"{"):
        return ""
    try:
        return _read_schema(line).schema
    except UNREADABLE:
        return None
