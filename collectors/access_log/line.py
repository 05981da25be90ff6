"""One line of the access log, as far as rows are made of it. What is not needed is skipped while it is read."""

from typing import Annotated

from msgspec import DecodeError, Meta, Struct
from msgspec.json import Decoder

Count = Annotated[int, Meta(ge=0)]
UNREADABLE = (DecodeError, RecursionError)
"""What `read` raises for a line that is no such line."""


class LogLine(Struct, frozen=True, gc=False):
    """A line of `gw/1`; its fields stand in docs/access-log.md."""

    schema: str
    gateway: str
    time: str
    status: int
    flags: str
    details: str | None
    grpc_status: int | None
    route: str | None
    route_config: str | None
    cluster: str | None
    duration_us: Count | None
    duration_ms: Count
    bytes_in: Count
    bytes_out: Count


read = Decoder(LogLine).decode
"""Return the line in some bytes of JSON; raises one of `UNREADABLE`."""


class _Schema(Struct, frozen=True, gc=False):
    schema: str = ""


_schema_of = Decoder(_Schema).decode


def is_foreign(line: bytes) -> bool:
    """Tell whether a line is of another log: Envoy's messages, or what the mesh has its gateways log."""
    if not line.lstrip().startswith(b"{"):
        return True
    try:
        return not _schema_of(line).schema
    except UNREADABLE:
        return False
